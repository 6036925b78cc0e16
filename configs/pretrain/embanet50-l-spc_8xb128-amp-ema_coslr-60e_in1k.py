_base_ = './_base_/schedule_short.py'

model = dict(detector='mask-rcnn_embanet50-l-spc_fpn_1x_coco')
