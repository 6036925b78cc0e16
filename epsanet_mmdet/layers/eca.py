"""Efficient channel attention (arXiv 1910.03151)."""

import math

from torch import Tensor, nn

from ..errors import ArgumentError


class ECALayer2d(nn.Module):
    """Efficient channel attention: ``x * sigmoid(conv1d_k(gap(x)))`` along the channels.

    ``k`` is ``|log2(C) / gamma + b / gamma|`` truncated, plus one if that is even.

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
        if channels < 1:
            raise ArgumentError(f'ECALayer2d needs at least 1 channel, but got channels={channels}')
        size = int(abs(math.log2(channels) / gamma + b / gamma))
        self.conv = channel_conv(size if size % 2 else size + 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(channel_sequence(x)).sigmoid().transpose(1, 2).unsqueeze(3)


def channel_conv(kernel_size: int) -> nn.Conv1d:
    """Convolution of a sequence of channels, as long as its input."""
    return nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)


def channel_sequence(x: Tensor) -> Tensor:
    """Globally pooled channels as a sequence: (B, C, H, W) -> (B, 1, C)."""
    return x.mean(dim=(2, 3)).unsqueeze(1)
