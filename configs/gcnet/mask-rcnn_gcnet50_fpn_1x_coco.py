_base_ = '../_base_/mask-rcnn_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        plugins=[
            dict(
                cfg=dict(type='ContextBlock', ratio=1.0 / 16),
                stages=(False, True, True, True),
                position='after_conv3',
            )
        ],
    )
)
