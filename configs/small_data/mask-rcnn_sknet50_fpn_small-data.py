_base_ = '../_base_/mask-rcnn_fpn_small-data.py'

model = dict(backbone=dict(type='SKNet', depth=50))
