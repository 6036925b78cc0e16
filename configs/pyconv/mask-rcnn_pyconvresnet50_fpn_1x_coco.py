_base_ = '../_base_/mask-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='PyConvResNet',
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/pyconvresnet50.pth'),
    )
)
