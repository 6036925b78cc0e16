_base_ = './_base_/schedule_published.py'

model = dict(detector='mask-rcnn_sda-resnet86_fpn_1x_coco')
