_base_ = './_base_/shapes.py'

model = dict(detector='mask-rcnn_epsanet50-s_fpn_1x_coco')
