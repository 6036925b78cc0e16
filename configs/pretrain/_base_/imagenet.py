# ImageNet in class folders, DATA_ROOT/train/n01440764/*.JPEG and DATA_ROOT/val/..., prepared and
# augmented as the published trainings do. Images are normalised as in the detection configs.
_base_ = '../../_base_/default_runtime.py'

custom_imports = dict(imports=['epsanet_mmdet.pretraining'], allow_failed_imports=False)

data_root = '{{$IMAGENET_ROOT:data/imagenet}}/'
model = dict(
    type='ImageClassifier',
    num_classes=1000,
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', size=224),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackClassInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeShortSide', size=256),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackClassInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=5,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='ImageFolder', data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=5,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ImageFolder',
        data_root=data_root,
        split='val',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='TopKAccuracy')
test_evaluator = val_evaluator
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(interval=100),
    checkpoint=dict(max_keep_ckpts=2, save_best='top1', rule='greater'),
    throughput=dict(type='ThroughputHook'),
)
