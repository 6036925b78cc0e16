_base_ = '../_base_/mask-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        dcn=dict(type='PSAConv2d'),
        stage_with_dcn=(True, True, True, True),
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/epsanet50-s.pth'),
    )
)
