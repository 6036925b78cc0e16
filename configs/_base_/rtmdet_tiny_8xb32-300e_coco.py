# mmdet's RTMDet-tiny with the data checks and hooks of this project, like default_runtime.py and
# datasets/coco_detection.py.
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'

custom_imports = dict(imports=['epsanet_mmdet'], allow_failed_imports=False)
default_hooks = dict(
    checkpoint=dict(type='AtomicCheckpointHook'),
    checkpoint_match=dict(type='CheckpointMatchHook'),
    num_class_check=dict(type='NumClassCheckHook'),
    exact_resume=dict(type='ExactResumeHook'),
    finite_loss=dict(type='FiniteLossHook'),
    amp_operators=dict(type='AmpOperatorsHook'),
    preemption=dict(type='PreemptionHook'),
    skipped_data=dict(type='SkippedDataHook'),
)

dataset_type = 'CheckedCocoDataset'
data_root = '{{$DATA_ROOT:data/coco}}/'
train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator

auto_scale_lr = dict(base_batch_size=256)  # mmdet's has 16, of another schedule
