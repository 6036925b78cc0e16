"""Refuses ``load_from``, ``--resume`` and test checkpoints of another architecture."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..checkpoints import require_match


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Has the run's model refuse a checkpoint of another architecture.

    See :func:`epsanet_mmdet.checkpoints.require_match`.
    """

    def before_run(self, runner: Runner) -> None:
        model = runner.model
        require_match(model.module if is_model_wrapper(model) else model)
