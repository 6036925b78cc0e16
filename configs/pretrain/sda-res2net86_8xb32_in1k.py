_base_ = './_base_/schedule_published.py'

model = dict(detector='mask-rcnn_sda-res2net86_fpn_1x_coco')
