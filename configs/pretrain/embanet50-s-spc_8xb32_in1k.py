_base_ = './_base_/schedule_published.py'

model = dict(detector='mask-rcnn_embanet50-s-spc_fpn_1x_coco')
