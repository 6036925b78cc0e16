# Half the epochs on smaller crops: cosine with warm-up, no decay of norms and biases, zero
# residual branches at the start (arXiv 1812.01187), mixed precision, averaged weights, training
# crops of 176 (arXiv 1906.06423).
_base_ = './imagenet.py'

max_epochs = 60
warmup_epochs = 5
model = dict(label_smoothing=0.1, backbone=dict(zero_init_residual=True))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', size=176),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackClassInputs'),
]
train_dataloader = dict(batch_size=128, num_workers=8, dataset=dict(pipeline=train_pipeline))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='SGD', lr=0.4, momentum=0.9, nesterov=True, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=warmup_epochs,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        by_epoch=True,
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(
    ema=dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        momentum=0.0002,
        gamma=2000,
        update_buffers=True,
    )
)
auto_scale_lr = dict(base_batch_size=1024, enable=False)
