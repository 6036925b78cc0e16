"""Efficient channel attention (arXiv 1910.03151) and two published variations of it."""

import math

import torch
from torch import Tensor, nn

from .squeeze import SqueezeMLP


class ECALayer2d(nn.Module):
    """Efficient channel attention: ``x * sigmoid(conv1d_k(gap(x)))`` along the channels.

    ``k`` is ``log2(C) / gamma + b / gamma`` truncated, plus one if that is even.

    Args:
        channels: Channels C.
        gamma: Divisor in the formula of the kernel size.
        b: Offset in the formula of the kernel size.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ValueError: If channels is less than 1.
    """

    def __init__(self, channels: int, gamma: float = 2, b: float = 1) -> None:
        super().__init__()
        self.conv = _channel_conv(eca_kernel_size(channels, gamma, b))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(_sequence(x)).sigmoid().view(x.size(0), x.size(1), 1, 1)


def eca_kernel_size(channels: int, gamma: float = 2, b: float = 1) -> int:
    """Kernel size of ECA for a number of channels."""
    if channels < 1:
        raise ValueError(f'ECALayer2d needs at least 1 channel, but got channels={channels}')
    size = int(abs((math.log2(channels) + b) / gamma))
    return size if size % 2 else size + 1


def _channel_conv(kernel_size: int) -> nn.Conv1d:
    return nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)


def _sequence(x: Tensor) -> Tensor:
    """The pooled channels as a sequence, (B, 1, C)."""
    return x.mean(dim=(2, 3)).unsqueeze(1)


class BidirectionalECA2d(nn.Module):
    """ECA run over the channels in both directions, mixed by a gate.

    ``s = gap(x)``, ``f = sigmoid(conv1d_3(s))``, ``b = flip(sigmoid(conv1d_3'(flip(s))))``,
    ``g = softmax(W2 relu(W1 s))``, output ``x * (g_0 f + g_1 b)``.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of the gate.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.forward_conv = _channel_conv(3)
        self.backward_conv = _channel_conv(3)
        self.gate = SqueezeMLP(channels, reduction, out_channels=2)

    def forward(self, x: Tensor) -> Tensor:
        s = _sequence(x)
        forward = self.forward_conv(s).sigmoid()
        backward = self.backward_conv(s.flip(2)).sigmoid().flip(2)
        gate = self.gate(s.view(x.size(0), x.size(1), 1, 1)).flatten(2).softmax(dim=1)
        mixed = (gate * torch.cat([forward, backward], dim=1)).sum(dim=1)
        return x * mixed.view(x.size(0), x.size(1), 1, 1)


class DynamicMultiKernelECA2d(nn.Module):
    """ECA-like gate from depthwise convolutions of three sizes, mixed by the input.

    ``s = gap(x)`` as (B, C, 1), ``m = softmax(W s)``,
    output ``x * sigmoid(m_0 conv_3(s) + m_1 conv_5(s) + m_2 conv_7(s))``.

    The sequence has length 1, so that of every kernel only the centre tap meets the input;
    the others stay as initialised. The original also computes a ``gamma`` from the input
    and does not use it; it is left out here, since parameters without gradient stop
    distributed training.

    Args:
        channels: Channels C.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3 = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.conv5 = nn.Conv1d(channels, channels, 5, padding=2, groups=channels, bias=False)
        self.conv7 = nn.Conv1d(channels, channels, 7, padding=3, groups=channels, bias=False)
        self.fc = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        s = x.mean(dim=(2, 3)).unsqueeze(2)
        mix = self.fc(s.squeeze(2)).softmax(dim=1).unsqueeze(1)
        gate = (mix * torch.cat([self.conv3(s), self.conv5(s), self.conv7(s)], dim=2)).sum(dim=2)
        return x * gate.sigmoid().view(x.size(0), x.size(1), 1, 1)
