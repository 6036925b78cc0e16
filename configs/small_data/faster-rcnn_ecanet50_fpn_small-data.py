_base_ = '../_base_/faster-rcnn_fpn_small-data.py'

plugins = [dict(cfg=dict(type='ECALayer2d'), position='after_conv3')]
model = dict(backbone=dict(plugins=plugins))
