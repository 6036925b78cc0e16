# The training of EPSANet's authors: 120 epochs of SGD, a tenth of the rate every 30.
_base_ = './imagenet.py'

model = dict(label_smoothing=0.1, backbone=dict(zero_init_residual=False))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=120, val_interval=1)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[30, 60, 90], gamma=0.1)
auto_scale_lr = dict(base_batch_size=256, enable=False)
