_base_ = '../_base_/mask-rcnn_fpn_gn-all_6x_coco.py'

model = dict(backbone=dict(type='EPSANet', depth=50, arch='small'))
