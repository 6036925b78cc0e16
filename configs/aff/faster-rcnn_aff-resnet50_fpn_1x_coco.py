_base_ = '../_base_/faster-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='AFFResNet',
        fusion=('add', 'add', 'aff', 'aff'),
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/aff-resnet50.pth'),
    )
)
