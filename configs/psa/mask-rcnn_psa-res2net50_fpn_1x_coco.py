_base_ = '../_base_/mask-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='Res2Net',
        scales=4,
        base_width=26,
        # The first stage's convolutions, 26 channels wide, do not split into four branches.
        dcn=dict(type='PSAConv2d'),
        stage_with_dcn=(False, True, True, True),
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/psa-res2net50.pth'),
    )
)
