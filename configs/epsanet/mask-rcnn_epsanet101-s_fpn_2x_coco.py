_base_ = '../_base_/mask-rcnn_fpn_2x_coco.py'

model = dict(
    backbone=dict(
        type='EPSANet',
        depth=101,
        arch='small',
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/epsanet101-s.pth'),
    )
)
