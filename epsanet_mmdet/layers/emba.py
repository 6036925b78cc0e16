"""Multi-branch attention on a split input, the convolution of EMBANet (arXiv 2407.05418)."""

from typing import Sequence

import torch
from torch import Tensor, nn

from ..errors import ArgumentError
from .psa import PSAModule


class SplitPSAModule(PSAModule):
    """Pyramid Squeeze Attention whose branches share the input instead of all receiving it whole.

    The input is split along the channels into ``[x_1, ..., x_n]``, and each branch convolves its
    part, ``F_i = conv_i(x_i)``. All else is that of :class:`PSAModule`, which is EMBANet's other
    form, where every branch receives the whole input.

    Args:
        in_channels: Channels of the input, a multiple of the number of branches. The share of each
            branch must be a multiple of its group count.
        out_channels: See :class:`PSAModule`.
        kernel_sizes: See :class:`PSAModule`.
        groups: See :class:`PSAModule`.
        **kwargs: Other arguments of :class:`PSAModule`.

    Shape:
        See :class:`PSAModule`.

    Raises:
        ArgumentError: As :class:`PSAModule`, and if the branches do not divide ``in_channels``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        groups: Sequence[int] = (1, 4, 8, 16),
        **kwargs,
    ) -> None:
        branches = len(kernel_sizes)
        if branches and in_channels % branches:
            raise ArgumentError(
                f'SplitPSAModule splits its input over {branches} branches: in_channels='
                f'{in_channels} must be divisible by {branches}'
            )
        super().__init__(
            in_channels // max(branches, 1), out_channels, kernel_sizes, groups, **kwargs
        )

    def features(self, x: Tensor) -> Tensor:
        """Return the features of the branches, (B, branches, out_channels / branches, H', W')."""
        return split_features(self.convs, x)


def split_features(convs: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Return the features of convolutions of the parts of x, stacked in the convolutions' order.

    That is the order of the output; as the branches are numbered, the last has the last part.
    """
    parts = x.chunk(len(convs), dim=1)[::-1]
    return torch.stack([conv(part) for conv, part in zip(convs, parts)], dim=1)
