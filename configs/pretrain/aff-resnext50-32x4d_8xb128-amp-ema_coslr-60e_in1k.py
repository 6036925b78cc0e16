_base_ = './_base_/schedule_short.py'

model = dict(detector='mask-rcnn_aff-resnext50-32x4d_fpn_1x_coco')
