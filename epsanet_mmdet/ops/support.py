"""When a faster implementation may compute what modules compute: the one rule.

It may where nobody watches the single operations, the modules it passes over are exactly what
they seem, and their tensors have memory. Everywhere else the modules are called one by one.
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
    kind: kind.forward
    for kind in (
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
# Before torch 2.7, only an export to ONNX can be recognised.
is_exporting = getattr(torch.compiler, 'is_exporting', torch.onnx.is_in_onnx_export)


def accelerates(cls: type) -> Callable:
    """Register a function as the faster ``forward`` of a fusable class, used where nobody watches.

    The function takes the module and its input, and returns the output, or None to decline.
    """

    def register(function: Callable[[nn.Module, Tensor], Any]) -> Callable:
        @functools.wraps(function)
        def unwatched(module: nn.Module, x: Tensor) -> Any:
            return None if is_watched(x) else function(module, x)

        FUSED[cls] = unwatched
        return function

    return register


def is_watched(x: Any) -> bool:
    """Return whether something records, counts, transforms or replaces the operations on x."""
    if type(x) not in PLAIN_TENSORS or torch.jit.is_tracing() or is_exporting():
        return True
    if nn.Module.__call__ is not CALL or _has_global_hooks():
        return True
    # A compiled program knows our operators, and torch.compile allows no modes but its own.
    return not torch.compiler.is_compiling() and modes_watch()


def modes_watch() -> bool:
    """Return whether a dispatch or function mode, torch.func or forward-mode AD is active."""
    return (
        torch._C._len_torch_dispatch_stack() > 0
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or any(
            type(torch._C._get_function_stack_at(i)) is not DeviceContext
            for i in range(torch._C._len_torch_function_stack())
        )
    )


def _has_global_hooks() -> bool:
    return bool(
        torch_module._global_forward_hooks
        or torch_module._global_forward_pre_hooks
        or torch_module._global_backward_hooks
        or torch_module._global_backward_pre_hooks
    )


def may_be_bypassed(kind: type, *modules: nn.Module) -> bool:
    """Return whether all are exactly of this kind, and calling them does nothing besides."""
    if kind.forward is not FORWARDS[kind]:
        return False
    for module in modules:
        if type(module) is not kind or 'forward' in module.__dict__:
            return False
        if module._forward_hooks or module._forward_pre_hooks:
            return False
        if module._backward_hooks or module._backward_pre_hooks:
            return False
    return True


def learns(*tensors: Optional[Tensor]) -> bool:
    """Return whether gradients of any of these may be asked for."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors if t is not None)


def have_memory(*tensors: Optional[Tensor]) -> bool:
    """Return whether these are plain tensors, so that an operator may take them."""
    return all(type(t) in PLAIN_TENSORS for t in tensors if t is not None)


def is_float32_on_cpu(x: Tensor, *others: Optional[Tensor]) -> bool:
    """Return whether kernels for contiguous float32 on CPUs may compute with these tensors."""
    for t in (x, *others):
        if t is None:
            continue
        if type(t) not in PLAIN_TENSORS or t.dtype != torch.float32 or t.device.type != 'cpu':
            return False
    return (
        x.layout == torch.strided
        and (x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last))
        and not torch.is_autocast_enabled('cpu')
    )


def fits(weight: Optional[Tensor], *shape: int) -> bool:
    """Return whether a tensor is there and has this shape."""
    return weight is not None and weight.shape == shape


def norm_tensors(norm: nn.BatchNorm2d) -> Sequence[Optional[Tensor]]:
    """Return parameters and running statistics of a batch norm; None where it has none."""
    return norm.weight, norm.bias, norm.running_mean, norm.running_var


def is_affine(norm: nn.BatchNorm2d, channels: int) -> bool:
    """Return whether a batch norm scales and shifts that many channels."""
    return (
        not norm.training
        and norm.running_mean is not None
        and all(t is None or t.shape == (channels,) for t in norm_tensors(norm))
    )


def is_complete_norm(norm: nn.BatchNorm2d, channels: int, values: int) -> bool:
    """Return whether a batch norm has parameters and statistics, of that many channels.

    Args:
        norm: To look at.
        channels: Channels of the map.
        values: Values of a channel; torch refuses to learn from less than two.
    """
    complete = all(fits(t, channels) and t.is_contiguous() for t in norm_tensors(norm))
    return complete and not (norm.training and values < 2)


def branch_channels(convs: Sequence[nn.Module]) -> Optional[Tuple[int, int]]:
    """Return input channels of branches, and the output channels of each, if they are alike.

    Returns:
        None unless all are ungarnished convolutions that differ in kernel size and groups alone.
    """
    if not may_be_bypassed(nn.Conv2d, *convs) or convs[0].weight.dim() != 4:
        return None
    outputs, inputs = len(convs[0].weight), convs[0].weight.shape[1] * convs[0].groups
    options = convs[0].stride, convs[0].dilation
    for conv in convs:
        shape = (outputs, inputs // conv.groups, *conv.kernel_size)
        if (conv.stride, conv.dilation) != options or not fits(conv.weight, *shape):
            return None
        if outputs % conv.groups or inputs % conv.groups or not _keeps_size(conv):
            return None
    return (inputs, outputs) if have_memory(*(conv.weight for conv in convs)) else None


def squeezes_plainly(psa: nn.Module, channels: int) -> bool:
    """Return whether a PSA module squeezes branches of that many channels as it was built to."""
    se, gap = psa.se, psa.gap
    if not (may_be_bypassed(SqueezeMLP, se) and may_be_bypassed(nn.Conv2d, se.fc1, se.fc2)):
        return False
    hidden = len(se.fc1.weight)
    return (
        may_be_bypassed(nn.AdaptiveAvgPool2d, gap)
        and gap.output_size in (1, (1, 1))
        and may_be_bypassed(nn.Identity, se.norm)
        and may_be_bypassed(nn.ReLU, se.relu)
        and _is_linear(se.fc1, channels, hidden)
        and _is_linear(se.fc2, hidden, channels)
        and have_memory(*se_parameters(psa))
    )


def conv_options(convs: Sequence[nn.Conv2d]) -> Tuple[Sequence[int], int, int]:
    """Return the groups of each branch, and the stride and dilation of all."""
    return [conv.groups for conv in convs], convs[0].stride[0], convs[0].dilation[0]


def se_parameters(psa: nn.Module) -> Sequence[Tensor]:
    """Return weights and biases of the squeeze MLP."""
    return [p for conv in (psa.se.fc1, psa.se.fc2) for p in (conv.weight, conv.bias)]


def is_pointwise(conv: nn.Module, channels: int) -> bool:
    """Return whether it is a 1x1 convolution of all of that many channels, without bias."""
    return (
        may_be_bypassed(nn.Conv2d, conv)
        and conv.weight.dim() == 4
        and conv.weight.shape[1:] == (channels, 1, 1)
        and conv.padding == (0, 0)
        and conv.stride[0] == conv.stride[1]
        and conv.groups == 1
        and conv.bias is None
    )


def _keeps_size(conv: nn.Conv2d) -> bool:
    """Return whether a convolution is square, without bias, and pads by zeros to keep the size."""
    (height, width), (stride, _), (dilation, _) = conv.kernel_size, conv.stride, conv.dilation
    return (
        height == width == conv.weight.shape[-1] == conv.weight.shape[-2]
        and height % 2 == 1
        and conv.stride == (stride, stride)
        and conv.dilation == (dilation, dilation)
        and conv.padding == (dilation * (height // 2),) * 2
        and conv.padding_mode == 'zeros'
        and conv.bias is None
    )


def _is_linear(conv: nn.Conv2d, inputs: int, outputs: int) -> bool:
    return (
        fits(conv.weight, outputs, inputs, 1, 1)
        and fits(conv.bias, outputs)
        and (conv.stride, conv.padding, conv.groups) == ((1, 1), (0, 0), 1)
    )
