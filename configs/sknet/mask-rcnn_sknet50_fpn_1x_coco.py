_base_ = '../_base_/mask-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='SKNet',
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/sknet50.pth'),
    )
)
