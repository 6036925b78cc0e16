_base_ = '../mask-rcnn_epsanet50-l_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        arch='large-paper',
        init_cfg=dict(checkpoint='checkpoints/epsanet50-l-k3579.pth'),
    )
)
