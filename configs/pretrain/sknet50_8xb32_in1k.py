_base_ = './_base_/schedule_published.py'

model = dict(detector='mask-rcnn_sknet50_fpn_1x_coco')
