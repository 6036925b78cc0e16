_base_ = '../mask-rcnn_epsanet50-s_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        kernel_sizes=(3, 3, 3, 3),
        init_cfg=dict(checkpoint='checkpoints/epsanet50-s-k3333.pth'),
    )
)
