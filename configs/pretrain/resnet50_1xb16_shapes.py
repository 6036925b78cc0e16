_base_ = './_base_/shapes.py'

model = dict(detector='mask-rcnn_resnet50_fpn_1x_coco')
