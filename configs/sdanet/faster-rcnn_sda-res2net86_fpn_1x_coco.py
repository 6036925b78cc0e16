_base_ = '../_base_/faster-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='SDARes2Net',
        depth=86,
        init_cfg=dict(type='PretrainedIfPresent', checkpoint='checkpoints/sda-res2net86.pth'),
    )
)
