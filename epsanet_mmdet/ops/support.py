"""The rule that decides when a faster implementation may replace calls of modules.

It may if nothing observes the single operations, if the bypassed modules are exactly of the
expected classes, and if their tensors have memory. Otherwise the modules are called one by one.
"""

import functools
from typing import Any, Callable, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_module
from torch.utils._device import DeviceContext

from ..layers import PSAModule, SqueezeMLP
from ..layers.deployed_psa import PlainBranches
from ..layers.fusable import FUSED

PLAIN_TENSORS = (Tensor, nn.Parameter)
CALL = nn.Module.__call__
FORWARDS = {
    cls: cls.forward
    for cls in (
        nn.AdaptiveAvgPool2d,
        nn.BatchNorm2d,
        nn.Conv2d,
        nn.Identity,
        nn.MaxPool2d,
        nn.ReLU,
        nn.Sequential,
        PSAModule,
        PlainBranches,
        SqueezeMLP,
    )
}
# Before torch 2.7, only an export to ONNX can be detected.
is_exporting = getattr(torch.compiler, 'is_exporting', torch.onnx.is_in_onnx_export)


def accelerates(cls: type) -> Callable:
    """Register a function as the faster ``forward`` of a fusable class, unless it is observed.

    The function is called with the module and its input. It returns the output, or None to decline.
    """

    def register(function: Callable[[nn.Module, Tensor], Any]) -> Callable:
        @functools.wraps(function)
        def unobserved(module: nn.Module, x: Tensor) -> Any:
            return None if is_observed(x) else function(module, x)

        FUSED[cls] = unobserved
        return function

    return register


def is_observed(x: Any) -> bool:
    """Return True if anything records, counts, transforms or replaces the operations on x."""
    if type(x) not in PLAIN_TENSORS or torch.jit.is_tracing() or is_exporting():
        return True
    if (
        nn.Module.__call__ is not CALL
        or torch_module._global_forward_hooks
        or torch_module._global_forward_pre_hooks
        or torch_module._global_backward_hooks
        or torch_module._global_backward_pre_hooks
    ):
        return True
    # A compiled program knows our operators, and torch.compile allows no modes but its own.
    return not torch.compiler.is_compiling() and modes_observe()


def modes_observe() -> bool:
    """Return True if a dispatch or function mode, torch.func or forward-mode AD is active."""
    return (
        torch._C._len_torch_dispatch_stack() > 0
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or any(
            type(torch._C._get_function_stack_at(i)) is not DeviceContext
            for i in range(torch._C._len_torch_function_stack())
        )
    )


def may_be_bypassed(cls: type, *modules: nn.Module) -> bool:
    """Return True if all modules are exactly of this class, and have no hooks."""
    if cls.forward is not FORWARDS[cls]:
        return False
    for module in modules:
        if type(module) is not cls or 'forward' in module.__dict__:
            return False
        if module._forward_hooks or module._forward_pre_hooks:
            return False
        if module._backward_hooks or module._backward_pre_hooks:
            return False
    return True


def requires_grad(*tensors: Optional[Tensor]) -> bool:
    """Return True if gradients are recorded for any of the tensors."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors if t is not None)


def gradient_is_observed(grad: Tensor) -> bool:
    """Return True if a backward pass must use torch's own operations.

    That is the case if it is differentiated itself, or computes a batch of gradients at once, which
    have no memory.
    """
    transformed = torch._C._are_functorch_transforms_active() or not torch._C._has_storage(grad)
    return torch.is_grad_enabled() or transformed


def plain_gradients(
    function: Callable[[], Tensor],
    inputs: Sequence[Optional[Tensor]],
    needed: Sequence[bool],
    grad: Tensor,
) -> Tuple[Optional[Tensor], ...]:
    """Return the gradients of a function by torch's own operations; None where not needed.

    They can be differentiated if gradients are recorded.

    Args:
        function: Computes the result from the inputs.
        inputs: Its inputs; those that need no gradient may be None.
        needed: Whether each of them needs a gradient.
        grad: Gradient of the result.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        out = function()
    wanted = [t for t, need in zip(inputs, needed) if need]
    grads = iter(torch.autograd.grad(out, wanted, grad.to(out.dtype), create_graph=create_graph))
    return tuple(next(grads) if need else None for need in needed)


def is_float32_on_cpu(x: Tensor, *others: Optional[Tensor]) -> bool:
    """Return True if kernels for contiguous float32 on CPUs can compute with these tensors."""
    for t in (x, *others):
        if t is None:
            continue
        if type(t) not in PLAIN_TENSORS or t.dtype != torch.float32 or not t.is_cpu:
            return False
    return (
        x.layout == torch.strided
        and (x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last))
        and not torch.is_autocast_enabled('cpu')
    )
