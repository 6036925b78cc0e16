_base_ = '../_base_/faster-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='SDAResNet',
        depth=86,
        groups=1,
        plugins=[dict(cfg=dict(type='SELayer2d', bias=True), position='after_conv3')],
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/sda-senet86.pth'),
    )
)
