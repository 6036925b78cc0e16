"""Gradients that are being accumulated when a checkpoint is saved."""

from typing import Dict, Mapping

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn

from ..errors import CheckpointError


def pending_gradients(runner: Runner) -> Dict[str, Tensor]:
    """Return the gradients by parameter if the optimizer is between two steps, else nothing."""
    if at_step(runner.optim_wrapper):
        return {}
    parameters = _module(runner.model).named_parameters()
    return {name: p.grad for name, p in parameters if p.grad is not None}


def restore_gradients(runner: Runner, gradients: Mapping[str, Tensor]) -> None:
    """Set the gradients that :func:`pending_gradients` has returned.

    With another ``accumulative_counts``, for which a step is due, they are left out.

    Raises:
        CheckpointError: If they are not gradients of this model.
    """
    if not gradients or at_step(runner.optim_wrapper):
        return
    parameters = dict(_module(runner.model).named_parameters())
    for name, gradient in gradients.items():
        parameter = parameters.get(name)
        if parameter is None or getattr(gradient, 'shape', None) != parameter.shape:
            raise CheckpointError(f'its gradient of {name} does not fit the model')
        parameter.grad = gradient.to(parameter)


def at_step(wrapper: OptimWrapper) -> bool:
    """Return True if no gradients are being accumulated, as far as the wrapper knows."""
    if isinstance(wrapper, OptimWrapperDict):  # whose own count is not set
        return True
    return getattr(wrapper, 'should_update', lambda: True)()


def _module(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model
