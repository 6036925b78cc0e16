# Ten classes of generated images (epsanet draw-image-folder): a small pre-training for machines
# without a GPU.
_base_ = ['./imagenet.py', '../../_base_/schedules/adamw_cosine.py']

data_root = '{{$IMAGENET_ROOT:data/shape_folder}}/'
model = dict(num_classes=10, backbone=dict(zero_init_residual=True))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', size=64, area=(0.6, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackClassInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeShortSide', size=64),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackClassInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=_base_.max_epochs, val_interval=1)
optim_wrapper = dict(clip_grad=dict(max_norm=5))
param_scheduler = [
    {**_base_.param_scheduler[0], 'end': 100},
    _base_.param_scheduler[1],
]
default_hooks = dict(logger=dict(interval=25))
