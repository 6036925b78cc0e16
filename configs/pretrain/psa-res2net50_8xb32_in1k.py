_base_ = './_base_/schedule_published.py'

model = dict(detector='mask-rcnn_psa-res2net50_fpn_1x_coco')
