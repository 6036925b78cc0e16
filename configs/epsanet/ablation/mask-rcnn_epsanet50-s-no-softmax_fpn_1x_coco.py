_base_ = '../mask-rcnn_epsanet50-s_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        attention_type='sigmoid',
        init_cfg=dict(checkpoint='checkpoints/epsanet50-s-no-softmax.pth'),
    )
)
