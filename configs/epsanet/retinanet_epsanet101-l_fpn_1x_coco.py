_base_ = '../_base_/retinanet_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='EPSANet',
        depth=101,
        arch='large',
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/epsanet101-l.pth'),
    )
)
