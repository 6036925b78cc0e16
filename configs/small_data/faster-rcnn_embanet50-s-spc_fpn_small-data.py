_base_ = '../_base_/faster-rcnn_fpn_small-data.py'

model = dict(backbone=dict(type='EMBANet', depth=50, arch='small'))
