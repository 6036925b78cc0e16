_base_ = '../_base_/mask-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        plugins=[dict(cfg=dict(type='CBAM2d'), position='after_conv3')],
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/cbam50.pth'),
    )
)
