_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['epsanet_mmdet'], allow_failed_imports=False)
# The hooks that guard a run are here, so that custom_hooks of another config are additions.
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
custom_hooks = []
