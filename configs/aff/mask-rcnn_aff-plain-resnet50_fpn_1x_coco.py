_base_ = '../_base_/mask-rcnn_fpn_1x_coco.py'

# Not a ResNet-D: it starts from torchvision's ResNet-50, and random weights in the fusions.
model = dict(backbone=dict(type='AFFResNet', deep_stem=False, avg_down=False))
