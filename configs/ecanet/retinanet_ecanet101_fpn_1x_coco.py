_base_ = './retinanet_ecanet50_fpn_1x_coco.py'

model = dict(backbone=dict(depth=101, init_cfg=dict(checkpoint='checkpoints/ecanet101.pth')))
