_base_ = './faster-rcnn_fcanet50_fpn_1x_coco.py'

model = dict(backbone=dict(depth=101, init_cfg=dict(checkpoint='checkpoints/fcanet101.pth')))
