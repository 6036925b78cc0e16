# Training from random weights, as mmdet's configs/scratch: nothing frozen, GroupNorm, six times
# the schedule (arXiv 1811.08883).
_base_ = './mask-rcnn_fpn_1x_coco.py'

norm_cfg = dict(type='GN', num_groups=32, requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, zero_init_residual=False, norm_cfg=norm_cfg, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg),
    ),
)

optim_wrapper = dict(paramwise_cfg=dict(norm_decay_mult=0.0))
max_epochs = 73
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[65, 71], gamma=0.1
    ),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
