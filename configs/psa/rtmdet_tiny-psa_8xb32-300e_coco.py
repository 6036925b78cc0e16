_base_ = '../_base_/rtmdet_tiny_8xb32-300e_coco.py'

model = dict(
    backbone=dict(
        type='WithPlugins',
        base='CSPNeXt',
        # The dense 3x3 convolution of each block; conv2 is depthwise.
        plugins=[dict(cfg=dict(type='PSAConv2d'), position='instead_of_conv1')],
    )
)
