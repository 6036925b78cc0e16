_base_ = '../_base_/faster-rcnn_fpn_1x_coco.py'
