"""The hooks that guard every run, whatever it trains."""

from mmengine.runner import Runner

GUARDS = (  # as in configs/_base_/default_runtime.py
    'CheckpointMatchHook',
    'NumClassCheckHook',
    'ExactResumeHook',
    'FiniteLossHook',
    'AmpOperatorsHook',
    'PreemptionHook',
    'SkippedDataHook',
)


def drop_repeated(runner: Runner) -> None:
    """Drop the guards that a config has twice, before they act.

    Configs for earlier versions list them in ``custom_hooks``; now they are default hooks.
    """
    kept, names = [], set()
    for hook in runner.hooks:
        name = type(hook).__name__
        if name in GUARDS and name in names:
            continue
        names.add(name)
        kept.append(hook)
    runner._hooks = kept
