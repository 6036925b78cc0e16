"""Early stopping that a resumed run continues."""

from typing import Dict, Optional

from mmengine.hooks import EarlyStoppingHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...errors import CheckpointError

STATE = 'early_stopping'  # in the message hub, which checkpoints hold


@HOOKS.register_module()
class ResumableEarlyStoppingHook(EarlyStoppingHook):
    """mmengine's ``EarlyStoppingHook``, whose best score and count survive an interruption.

    A checkpoint is saved before the validation of its epoch, so a resumed run may stop one
    validation later. A test does not build the training data, which mmengine's hook does.

    Args:
        *args, **kwargs: See ``EarlyStoppingHook``.
    """

    priority = 'LOW'  # before the checkpoint hook, which saves again after the best validation

    def before_run(self, runner: Runner) -> None:
        pass

    def before_train(self, runner: Runner) -> None:
        super().before_run(runner)
        state = runner.message_hub.get_info(STATE, None)
        if state is None:
            return
        try:
            self.best_score, self.wait_count = float(state['best_score']), int(state['wait_count'])
        except (TypeError, KeyError, ValueError):
            raise CheckpointError(f'its message_hub has {STATE}={state!r:.100}') from None
        runner.train_loop.stop_training = self.wait_count >= self.patience

    def after_val_epoch(self, runner: Runner, metrics: Optional[Dict[str, float]] = None) -> None:
        super().after_val_epoch(runner, metrics)
        state = dict(best_score=float(self.best_score), wait_count=self.wait_count)
        runner.message_hub.update_info(STATE, state)
