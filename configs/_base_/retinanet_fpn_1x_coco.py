_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    './datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    './default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=0.01))
