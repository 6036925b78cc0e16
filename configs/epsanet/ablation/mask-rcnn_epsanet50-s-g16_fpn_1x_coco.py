_base_ = '../mask-rcnn_epsanet50-s_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        groups=(16, 16, 16, 16),
        init_cfg=dict(checkpoint='checkpoints/epsanet50-s-g16.pth'),
    )
)
