"""Stopping at a loss that is not finite, before it reaches the weights."""

import os.path as osp
from typing import Any, Dict, List, Optional

import torch
from mmengine.device import get_device
from mmengine.dist import all_gather_object, all_reduce, barrier, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ...errors import NonFiniteError
from ...utils.storage import write_json

NAME = 'nonfinite_loss'


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop the run at a loss that is NaN or infinite, before the optimizer uses it.

    The work directory then contains ``nonfinite_loss.pth``, a checkpoint with the weights before
    that iteration (batch norm statistics include its forward pass), and ``nonfinite_loss.json``
    with the losses and the names of the images. ``--resume`` ignores this checkpoint. Gradients
    that overflow in fp16 do not stop the run: they lower the loss scale.

    No checkpoint is written if the weights are not finite.
    """

    def __init__(self) -> None:
        self._batch: Any = None
        self._handle = None
        self._runner: Optional[Runner] = None
        self._stopping = False

    def before_train(self, runner: Runner) -> None:
        self._runner, self._stopping = runner, False
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._handle = model.register_forward_hook(self._check)

    def after_train(self, runner: Runner) -> None:
        self._handle.remove()
        self._runner = None

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        self._batch = data_batch

    def after_train_iter(self, *args, **kwargs) -> None:
        self._batch = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if self._stopping:
            return
        for name, parameter in runner.model.named_parameters():
            if not bool(parameter.isfinite().all()):
                raise NonFiniteError(
                    f'the weights of {name} are not finite after iteration {runner.iter}: no '
                    'checkpoint is written; resume from the last one with a lower learning rate '
                    'or clip_grad'
                )

    def _check(self, model: nn.Module, inputs: Any, losses: Any) -> None:
        if self._batch is None or not isinstance(losses, dict):  # predictions
            return
        values = _scalars(losses)
        if not values:
            return
        bad = (~torch.stack([value.detach().isfinite() for value in values.values()])).any()
        if get_world_size() > 1:  # stop all processes, or the others would wait for this one
            bad = bad.to(get_device(), torch.int)
            all_reduce(bad, 'max')
        if bool(bad):
            self._stop(self._runner, {name: float(value) for name, value in values.items()})

    def _stop(self, runner: Runner, losses: Dict[str, float]) -> None:
        of_ranks: List[dict] = all_gather_object(
            dict(losses=losses, images=image_names(self._batch))
        )
        self._stopping = True
        runner.save_checkpoint(
            runner.work_dir,
            f'{NAME}.pth',
            meta=dict(epoch=runner.epoch, iter=runner.iter),
            by_epoch=False,
            backend_args=dict(backend='atomic'),
        )
        images = [name for rank in of_ranks for name in rank['images']]
        if is_main_process():
            record = dict(
                epoch=runner.epoch + 1,
                iteration=runner.iter + 1,
                images=images,
                losses=[{k: repr(v) for k, v in rank['losses'].items()} for rank in of_ranks],
            )
            write_json(record, osp.join(runner.work_dir, f'{NAME}.json'))
        barrier()  # launchers end all processes soon after the first
        named = {
            f'{name} is {value}'
            for rank in of_ranks
            for name, value in rank['losses'].items()
            if not abs(value) < float('inf')
        }
        raise NonFiniteError(
            f'{", ".join(sorted(named))} in iteration {runner.iter + 1} (epoch {runner.epoch + 1}) '
            f'on {", ".join(images)}; the state is in {osp.join(runner.work_dir, NAME)}.pth and '
            '.json: look at these images, or resume with a lower learning rate or clip_grad'
        )


def image_names(batch: Any) -> List[str]:
    """Return the files of a batch, where its data samples name them."""
    samples = batch.get('data_samples') if isinstance(batch, dict) else None
    names = [
        s if isinstance(s, str) else getattr(s, 'img_path', None) or getattr(s, 'img_id', None)
        for s in (samples if isinstance(samples, (list, tuple)) else ())
    ]
    return [str(name) for name in names if name is not None] or ['images of unknown names']


def _scalars(losses: Dict[str, Any]) -> Dict[str, Tensor]:
    """Return one number for each loss, computed as in mmengine's ``parse_losses``."""
    values = {}
    for name, value in losses.items():
        if 'loss' not in name:
            continue
        if isinstance(value, Tensor):
            values[name] = value.mean()
        elif isinstance(value, (list, tuple)) and value:
            values[name] = sum(item.mean() for item in value)
    return values
