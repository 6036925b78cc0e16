"""Mixed precision where mmcv's operators lack the type: bfloat16, and float16 on CPUs."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

MODULES = (
    'neck',
    'rpn_head',
    'bbox_head',
    'roi_head.bbox_head',
    'roi_head.mask_head',
)


@HOOKS.register_module()
class AmpOperatorsHook(Hook):
    """Hands float32 to mmcv's RoIAlign and NMS in mixed-precision training.

    They know float16 on GPUs, where nothing changes. For bfloat16, and on CPUs, the outputs of
    neck and heads are cast; their convolutions still run in the lower precision. Without mixed
    precision this does nothing.
    """

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._handles = cast_outputs(model)

    def after_train(self, runner: Runner) -> None:
        for handle in self._handles:
            handle.remove()


def cast_outputs(model: nn.Module) -> list:
    """Have a detector's neck and heads return float32 where mmcv needs it.

    Returns:
        Handles that undo it with ``remove()``.
    """
    modules = dict(model.named_modules())
    return [
        modules[name].register_forward_hook(lambda module, inputs, output: _cast(output))
        for name in MODULES
        if name in modules
    ]


def _cast(output: Any) -> Any:
    if isinstance(output, Tensor):
        lacks = output.dtype == torch.bfloat16 or (
            output.dtype == torch.float16 and output.device.type == 'cpu'
        )
        return output.float() if lacks else output
    if type(output) in (list, tuple):
        return type(output)(_cast(item) for item in output)
    return output
