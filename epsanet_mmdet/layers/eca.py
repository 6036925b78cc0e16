"""Efficient channel attention (arXiv 1910.03151) and two variations of it."""

import math
from typing import Optional

from torch import Tensor, nn

from ..errors import ArgumentError
from .checks import check_odd, check_positive
from .se import SqueezeMLP


class ECALayer2d(nn.Module):
    """Efficient channel attention: ``x * sigmoid(conv1d_k(gap(x)))`` along the channels.

    By default, ``k`` is ``|log2(C) / gamma + b / gamma|``, truncated, plus one if that is even. The
    authors' released weights have one kernel size per stage, given in their names: ``k3557`` means
    3 in the first stage, 5 in the second and third, and 7 in the fourth.

    Args:
        channels: Channels C.
        gamma: Divisor in the formula of the kernel size.
        b: Offset in the formula of the kernel size.
        kernel_size: Odd kernel size k, instead of the formula.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ArgumentError: If channels is less than 1, the kernel size is even, or gamma is not
            positive.
    """

    def __init__(
        self, channels: int, gamma: float = 2, b: float = 1, kernel_size: Optional[int] = None
    ) -> None:
        super().__init__()
        check_positive('ECALayer2d', channels=channels)
        if kernel_size is None:
            if gamma <= 0:
                raise ArgumentError(f'ECALayer2d needs gamma above 0, but got gamma={gamma}')
            kernel_size = int(abs(math.log2(channels) / gamma + b / gamma))
            kernel_size += kernel_size % 2 == 0
        check_odd('ECALayer2d', kernel_size)
        self.conv = _channel_conv(kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights of the channels, (B, C, 1, 1)."""
        return self.conv(_channel_sequence(x)).sigmoid().transpose(1, 2).unsqueeze(3)


class BidirectionalECA2d(nn.Module):
    """ECA along the channels in both directions, mixed by a gate.

    With ``s = gap(x)``: ``f = sigmoid(conv1d_3(s))``,
    ``b = flip(sigmoid(conv1d_3'(flip(s))))``, ``g = softmax(W2 relu(W1 s))``,
    output ``x * sigmoid(g_0 f + g_1 b)``.

    Args:
        channels: Channels C.
        reduction: Reduction ratio of the gate's MLP.

    Shape:
        (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.forward_conv = _channel_conv(3)
        self.backward_conv = _channel_conv(3)
        self.gate = SqueezeMLP(channels, reduction, out_channels=2)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights of the channels, (B, C, 1, 1)."""
        s = _channel_sequence(x)
        f = self.forward_conv(s).sigmoid()
        b = self.backward_conv(s.flip(2)).sigmoid().flip(2)
        g = self.gate(s.transpose(1, 2).unsqueeze(3)).squeeze(3).softmax(dim=1)
        mixed = g[:, :1] * f + g[:, 1:] * b
        return mixed.sigmoid().transpose(1, 2).unsqueeze(3)


class DynamicMultiKernelECA2d(nn.Module):
    """Channel gate from depthwise convolutions of three sizes, mixed by the input.

    With ``s = gap(x)`` as (B, C, 1) and ``m = softmax(W s)``, output
    ``x * sigmoid(m_0 conv_3(s) + m_1 conv_5(s) + m_2 conv_7(s))``.

    The sequence has length 1, so only the centre tap of each kernel is used; the other taps keep
    their initial values. The original also computes a ``gamma`` from the input and never uses it.
    It is left out, because parameters without a gradient break distributed training.

    Args:
        channels: Channels C.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ArgumentError: If channels is less than 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        check_positive('DynamicMultiKernelECA2d', channels=channels)
        self.conv3 = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.conv5 = nn.Conv1d(channels, channels, 5, padding=2, groups=channels, bias=False)
        self.conv7 = nn.Conv1d(channels, channels, 7, padding=3, groups=channels, bias=False)
        self.fc = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights of the channels, (B, C, 1, 1)."""
        pooled = x.mean(dim=(2, 3))
        s = pooled.unsqueeze(2)
        m0, m1, m2 = self.fc(pooled).softmax(dim=1).unsqueeze(2).split(1, dim=1)
        gate = m0 * self.conv3(s) + m1 * self.conv5(s) + m2 * self.conv7(s)
        return gate.sigmoid().unsqueeze(3)


def _channel_conv(kernel_size: int) -> nn.Conv1d:
    """Return a convolution along the channels that keeps their number."""
    return nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)


def _channel_sequence(x: Tensor) -> Tensor:
    """Return the means of the channels as a sequence: (B, C, H, W) -> (B, 1, C)."""
    return x.mean(dim=(2, 3)).unsqueeze(1)
