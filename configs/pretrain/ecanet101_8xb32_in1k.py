_base_ = './_base_/schedule_published.py'

model = dict(detector='mask-rcnn_ecanet101_fpn_1x_coco')
