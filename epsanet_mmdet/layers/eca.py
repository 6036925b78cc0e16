"""Efficient channel attention (arXiv 1910.03151)."""

import math
from typing import Optional

from torch import Tensor, nn

from ..errors import ArgumentError


class ECALayer2d(nn.Module):
    """Efficient channel attention: ``x * sigmoid(conv1d_k(gap(x)))`` along the channels.

    By default ``k`` is ``|log2(C) / gamma + b / gamma|`` truncated, plus one if that is even. The
    authors' weights have a kernel size for each stage, which their names tell: ``k3557`` is 3 in
    the first stage, 5 in the second and third, 7 in the fourth.

    Args:
        channels: Channels C.
        gamma: Divisor in the formula of the kernel size.
        b: Offset in the formula of the kernel size.
        kernel_size: Odd kernel size k, in place of the formula.

    Shape:
        (B, C, H, W) -> (B, C, H, W).

    Raises:
        ValueError: If channels is less than 1, or the kernel size is even.
    """

    def __init__(
        self, channels: int, gamma: float = 2, b: float = 1, kernel_size: Optional[int] = None
    ) -> None:
        super().__init__()
        if channels < 1:
            raise ArgumentError(f'ECALayer2d needs at least 1 channel, but got channels={channels}')
        if kernel_size is None:
            kernel_size = int(abs(math.log2(channels) / gamma + b / gamma))
            kernel_size += kernel_size % 2 == 0
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ArgumentError(
                f'ECALayer2d needs an odd kernel size, but got kernel_size={kernel_size}'
            )
        self.conv = channel_conv(kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(channel_sequence(x)).sigmoid().transpose(1, 2).unsqueeze(3)


def channel_conv(kernel_size: int) -> nn.Conv1d:
    """Return a convolution along the channels that keeps their number."""
    return nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)


def channel_sequence(x: Tensor) -> Tensor:
    """Return the means of the channels as a sequence: (B, C, H, W) -> (B, 1, C)."""
    return x.mean(dim=(2, 3)).unsqueeze(1)
