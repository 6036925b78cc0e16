_base_ = '../_base_/mask-rcnn_fpn_1x_coco.py'
