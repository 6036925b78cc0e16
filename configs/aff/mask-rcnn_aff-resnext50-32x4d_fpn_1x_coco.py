_base_ = './mask-rcnn_aff-resnet50_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='AFFResNeXt', init_cfg=dict(checkpoint='checkpoints/aff-resnext50-32x4d.pth')
    )
)
