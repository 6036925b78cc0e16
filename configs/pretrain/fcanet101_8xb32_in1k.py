_base_ = './_base_/schedule_published.py'

model = dict(detector='faster-rcnn_fcanet101_fpn_1x_coco')
