_base_ = '../_base_/yolox_s_8xb8-300e_coco.py'

model = dict(
    backbone=dict(
        type='WithPlugins',
        base='CSPDarknet',
        plugins=[dict(cfg=dict(type='PSAConv2d'), position='instead_of_conv2')],
    )
)
