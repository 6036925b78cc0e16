_base_ = '../_base_/yolox_s_8xb8-300e_coco.py'

model = dict(
    backbone=dict(
        type='WithPlugins',
        base='CSPDarknet',
        plugins=[
            dict(cfg=dict(type='ECALayer2d'), block='DarknetBottleneck', position='after_conv2'),
        ],
    )
)
