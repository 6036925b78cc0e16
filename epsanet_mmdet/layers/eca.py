"""Efficient channel attention (arXiv 1910.03151)."""

import math
from typing import Optional

from torch import Tensor, nn

from .checks import check_odd, check_positive


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
        ArgumentError: If channels is less than 1, or the kernel size is even.
    """

    def __init__(
        self, channels: int, gamma: float = 2, b: float = 1, kernel_size: Optional[int] = None
    ) -> None:
        super().__init__()
        check_positive('ECALayer2d', channels=channels)
        if kernel_size is None:
            kernel_size = int(abs(math.log2(channels) / gamma + b / gamma))
            kernel_size += kernel_size % 2 == 0
        check_odd('ECALayer2d', kernel_size)
        self.conv = channel_conv(kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(channel_sequence(x)).sigmoid().transpose(1, 2).unsqueeze(3)


def channel_conv(kernel_size: int) -> nn.Conv1d:
    """Return a convolution along the channels that keeps their number."""
    return nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)


def channel_sequence(x: Tensor) -> Tensor:
    """Return the means of the channels as a sequence: (B, C, H, W) -> (B, 1, C)."""
    return x.mean(dim=(2, 3)).unsqueeze(1)
