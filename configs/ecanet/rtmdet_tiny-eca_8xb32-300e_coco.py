_base_ = '../_base_/rtmdet_tiny_8xb32-300e_coco.py'

model = dict(
    backbone=dict(
        type='WithPlugins',
        base='CSPNeXt',
        plugins=[
            dict(cfg=dict(type='ECALayer2d'), block='CSPNeXtBlock', position='after_conv2'),
        ],
    )
)
