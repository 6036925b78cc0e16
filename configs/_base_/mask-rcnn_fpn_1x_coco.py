_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    './datasets/coco_instance.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    './default_runtime.py',
]
