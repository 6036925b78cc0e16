_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['epsanet_mmdet'], allow_failed_imports=False)
default_hooks = dict(checkpoint=dict(type='AtomicCheckpointHook'))
custom_hooks = [
    dict(type='CheckpointMatchHook'),
    dict(type='NumClassCheckHook'),
    dict(type='ExactResumeHook'),
    dict(type='FiniteLossHook'),
    dict(type='AmpOperatorsHook'),
    dict(type='PreemptionHook'),
    dict(type='SkippedDataHook'),
]
