_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['epsanet_mmdet'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckpointMatchHook'), dict(type='NumClassCheckHook')]
