_base_ = './_base_/schedule_short.py'

model = dict(detector='mask-rcnn_pyconvresnet50_fpn_1x_coco')
