_base_ = '../_base_/faster-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='StagePluginResNet',
        stage_plugins=[dict(cfg=dict(type='BAM2d'), stages=(True, True, True, False))],
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/bam50.pth'),
    )
)
