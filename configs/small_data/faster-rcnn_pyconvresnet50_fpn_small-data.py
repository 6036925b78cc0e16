_base_ = '../_base_/faster-rcnn_fpn_small-data.py'

model = dict(backbone=dict(type='PyConvResNet', depth=50))
