_base_ = '../epsanet/mask-rcnn_epsanet50-s_fpn_1x_coco.py'

model = dict(neck=dict(type='AFFFPN'))
