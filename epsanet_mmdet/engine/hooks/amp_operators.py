"""Mixed precision for mmcv operators that lack the type: bfloat16, and float16 on CPUs."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

MODULES = ('neck', 'rpn_head', 'bbox_head', 'roi_head.bbox_head', 'roi_head.mask_head')


@HOOKS.register_module()
class AmpOperatorsHook(Hook):
    """Pass float32 to mmcv's RoIAlign and NMS in mixed-precision training.

    These operators support float16 on GPUs, where nothing changes. For bfloat16, and on CPUs, the
    outputs of the neck and the heads are cast to float32; their convolutions still run in the
    lower precision. Without mixed precision the hook has no effect.
    """

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._handles = cast_outputs(model)

    def after_train(self, runner: Runner) -> None:
        for handle in self._handles:
            handle.remove()


def cast_outputs(model: nn.Module) -> list:
    """Make a detector's neck and heads return float32 where mmcv needs it.

    Returns:
        Handles of the forward hooks.
    """
    modules = dict(model.named_modules())
    return [
        modules[name].register_forward_hook(lambda module, inputs, output: _cast(output))
        for name in MODULES
        if name in modules
    ]


def _cast(output: Any) -> Any:
    if isinstance(output, Tensor):
        on_cpu = output.device.type == 'cpu'
        unsupported = (torch.bfloat16, torch.float16) if on_cpu else (torch.bfloat16,)
        return output.float() if output.dtype in unsupported else output
    if type(output) in (list, tuple):
        return type(output)(_cast(item) for item in output)
    return output
