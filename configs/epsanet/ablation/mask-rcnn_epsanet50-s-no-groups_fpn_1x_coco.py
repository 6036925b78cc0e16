_base_ = '../mask-rcnn_epsanet50-s_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        groups=(1, 1, 1, 1),
        init_cfg=dict(checkpoint='checkpoints/epsanet50-s-no-groups.pth'),
    )
)
