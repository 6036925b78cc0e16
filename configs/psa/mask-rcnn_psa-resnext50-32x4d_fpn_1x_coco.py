_base_ = '../_base_/mask-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='ResNeXt',
        groups=32,
        base_width=4,
        dcn=dict(type='PSAConv2d', kernel_sizes=(3, 5, 5, 7)),
        stage_with_dcn=(True, True, True, True),
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/epsanet50-l.pth'),
    )
)
