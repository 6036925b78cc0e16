"""The throughput of a training in images per second."""

from typing import Optional

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Log ``images_per_s``, the throughput of all processes together including data loading.

    Args:
        window (int): Number of iterations to average over.
    """

    def __init__(self, window: int = 50) -> None:
        self.window = window

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        # logged by IterTimerHook, which has the same priority and runs first
        seconds = runner.message_hub.get_scalar('train/time').mean(self.window)
        images = len(data_batch['inputs']) * get_world_size()
        runner.message_hub.update_scalar('train/images_per_s', images / max(seconds, 1e-9))
