_base_ = '../_base_/faster-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='StagePluginResNet',
        stage_plugins=[dict(cfg=dict(type='DualAttention2d'), stages=(False, False, False, True))],
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/danet50.pth'),
    )
)
