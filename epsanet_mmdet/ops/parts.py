"""What modules compute with, as tensors and numbers, where faster implementations bypass them."""

from typing import List, NamedTuple, Optional, Sequence

from torch import Tensor, nn

from ..layers import PSAModule, SqueezeMLP
from .support import PLAIN_TENSORS, may_be_bypassed

METHODS = {name: getattr(PSAModule, name) for name in ('features', 'attention')}


class Branches(NamedTuple):
    """Convolutions of one map that differ only in kernel size and groups, and keep its size."""

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
    """Return the branches that convolutions form, or None if they must be called."""
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
    """Return weights and biases of a PSA module's squeeze MLP, or None if it must be called.

    Whoever computes with them computes PSA's own features and softmax, so a module that has others
    is declined.

    Args:
        psa: PSA module.
        width: Output channels of each branch.
    """
    if psa.attention_type != 'softmax':
        return None
    for name, method in METHODS.items():
        if getattr(type(psa), name) is not method or name in psa.__dict__:
            return None
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
    """A 1x1 convolution without groups and bias, and the batch norm after it."""

    weight: Tensor
    stride: int
    norm: nn.BatchNorm2d

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return self.weight.shape[0]


def normed_of(conv: nn.Module, norm: nn.Module, channels: int) -> Optional[Normed]:
    """Return a convolution of so many channels and the norm after it, or None."""
    if not may_be_bypassed(nn.Conv2d, conv) or not may_be_bypassed(nn.BatchNorm2d, norm):
        return None
    weight, (stride, columns) = conv.weight, conv.stride
    if weight.shape[1:] != (channels, 1, 1) or conv.bias is not None:
        return None
    if conv.padding != (0, 0) or stride != columns or conv.groups != 1:
        return None
    return Normed(weight, stride, norm)


def norm_tensors(norm: nn.BatchNorm2d) -> Sequence[Optional[Tensor]]:
    """Return the parameters and running statistics of a batch norm, or None for those it lacks."""
    return norm.weight, norm.bias, norm.running_mean, norm.running_var


def is_affine(norm: nn.BatchNorm2d) -> bool:
    """Return True if a batch norm applies its running statistics."""
    return not norm.training and norm.running_mean is not None


def is_complete_norm(norm: nn.BatchNorm2d, channels: int, values: int) -> bool:
    """Return True if a batch norm has all parameters and statistics, and can use them in training.

    Args:
        norm: Batch norm.
        channels: Channels of the map.
        values: Values per channel; in training mode, torch needs at least two.
    """
    tensors = norm_tensors(norm)
    complete = all(t is not None and t.shape == (channels,) and t.is_contiguous() for t in tensors)
    return complete and not (norm.training and values < 2)
