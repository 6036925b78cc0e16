"""When a faster implementation may compute what modules compute: the one rule.

It may where nobody watches the single operations, the modules it passes over are exactly what
they seem, and their tensors have memory. Everywhere else the modules are called one by one.
"""

import functools
from typing import Any, Callable, List, NamedTuple, Optional, Sequence

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


def gradient_is_watched(grad: Tensor) -> bool:
    """Return whether a backward pass is to be computed plainly.

    It is if it is to be differentiated itself, or if it computes a batch of gradients at once,
    which are tensors without memory.
    """
    transformed = torch._C._are_functorch_transforms_active() or not torch._C._has_storage(grad)
    return torch.is_grad_enabled() or transformed


def is_float32_on_cpu(x: Tensor, *others: Optional[Tensor]) -> bool:
    """Return whether kernels for contiguous float32 on CPUs may compute with these tensors."""
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


def fits(tensor: Optional[Tensor], *shape: int) -> bool:
    """Return whether a tensor is there and has this shape."""
    return tensor is not None and tensor.shape == shape


class Branches(NamedTuple):
    """Convolutions of one map that differ in kernel size and groups alone, and keep its size."""

    weights: List[Tensor]
    groups: List[int]
    stride: int
    dilation: int

    @property
    def in_channels(self) -> int:
        """Channels of the map."""
        return self.weights[0].shape[1] * self.groups[0]

    @property
    def width(self) -> int:
        """Output channels of each branch."""
        return self.weights[0].shape[0]


def branches_of(convs: Sequence[nn.Module]) -> Optional[Branches]:
    """Return what convolutions compute with; None if they have to be called."""
    if not may_be_bypassed(nn.Conv2d, *convs):
        return None
    stride, dilation = convs[0].stride[0], convs[0].dilation[0]
    weights, groups = [conv.weight for conv in convs], [conv.groups for conv in convs]
    if weights[0].dim() != 4:
        return None
    outputs = weights[0].shape[0]
    inputs = weights[0].shape[1] * groups[0]
    for conv, weight, count in zip(convs, weights, groups):
        size = conv.kernel_size[0]
        options = (conv.stride, conv.dilation, conv.kernel_size, conv.padding)
        pad = dilation * (size // 2)
        if (
            options != ((stride,) * 2, (dilation,) * 2, (size,) * 2, (pad,) * 2)
            or conv.padding_mode != 'zeros'
            or conv.bias is not None
            or size % 2 == 0
            or outputs % count
            or inputs % count
            or weight.shape != (outputs, inputs // count, size, size)
            or type(weight) not in PLAIN_TENSORS
        ):
            return None
    return Branches(weights, groups, stride, dilation)


def squeeze_of(psa: nn.Module, width: int) -> Optional[List[Tensor]]:
    """Return weights and biases of a PSA module's squeeze MLP; None if it has to be called.

    Args:
        psa: The module.
        width: Output channels of each branch.
    """
    se, gap = psa.se, psa.gap
    if not may_be_bypassed(SqueezeMLP, se) or not may_be_bypassed(nn.AdaptiveAvgPool2d, gap):
        return None
    first, second = se.fc1, se.fc2
    if not may_be_bypassed(nn.Conv2d, first, second):
        return None
    if not may_be_bypassed(nn.ReLU, se.relu) or not may_be_bypassed(nn.Identity, se.norm):
        return None
    tensors = [first.weight, first.bias, second.weight, second.bias]
    hidden = tensors[0].shape[0]
    shapes = ((hidden, width, 1, 1), (hidden,), (width, hidden, 1, 1), (width,))
    plain = ((1, 1), (0, 0), 1)
    if (
        gap.output_size not in (1, (1, 1))
        or (first.stride, first.padding, first.groups) != plain
        or (second.stride, second.padding, second.groups) != plain
        or not all(type(t) in PLAIN_TENSORS and t.shape == s for t, s in zip(tensors, shapes))
    ):
        return None
    return tensors


class Normed(NamedTuple):
    """A 1x1 convolution of all channels without bias, and the batch norm after it."""

    weight: Tensor
    stride: int
    norm: nn.BatchNorm2d

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return self.weight.shape[0]


def normed_of(conv: nn.Module, norm: nn.Module, channels: int) -> Optional[Normed]:
    """Return what a convolution of that many channels computes with, or None."""
    if not may_be_bypassed(nn.Conv2d, conv) or not may_be_bypassed(nn.BatchNorm2d, norm):
        return None
    weight, (stride, columns) = conv.weight, conv.stride
    if weight.shape[1:] != (channels, 1, 1) or conv.bias is not None:
        return None
    if conv.padding != (0, 0) or stride != columns or conv.groups != 1:
        return None
    return Normed(weight, stride, norm)


def norm_tensors(norm: nn.BatchNorm2d) -> Sequence[Optional[Tensor]]:
    """Return parameters and running statistics of a batch norm; None where it has none."""
    return norm.weight, norm.bias, norm.running_mean, norm.running_var


def is_affine(norm: nn.BatchNorm2d) -> bool:
    """Return whether a batch norm scales and shifts its channels."""
    return not norm.training and norm.running_mean is not None


def is_complete_norm(norm: nn.BatchNorm2d, channels: int, values: int) -> bool:
    """Return whether a batch norm has parameters and statistics, of that many channels.

    Args:
        norm: To look at.
        channels: Channels of the map.
        values: Values of a channel; torch refuses to learn from less than two.
    """
    complete = all(fits(t, channels) and t.is_contiguous() for t in norm_tensors(norm))
    return complete and not (norm.training and values < 2)
