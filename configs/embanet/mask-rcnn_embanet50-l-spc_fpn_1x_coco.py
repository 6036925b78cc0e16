_base_ = '../_base_/mask-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='EMBANet',
        depth=50,
        arch='large',
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/embanet50-l-spc.pth'),
    )
)
