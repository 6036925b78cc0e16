"""Convolutions with few channels per group as wide matrix products.

Neighbouring output pixels are computed together: a block of R x S pixels of the O outputs of a
group is one row with R * S * O columns of a matrix product. Its other factor is the window of the
map that the block sees, so a value is read once per block and not once per tap. The weight is
written once for each pixel of the block, shifted, among zeros. Groups are merged until their
channels are enough to read at once.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from ...layers.deployed_psa import split_groups
from ..merging import merge_groups


class Blocking(NamedTuple):
    """How a convolution is blocked.

    Attributes:
        groups: Groups of the convolution.
        merged: Groups that are left after merging; a divisor of ``groups``.
        split: Number of products that share the outputs of a merged group.
        rows: Rows of a block of output pixels.
        columns: Columns of a block.
        size: Size of the kernel.
        stride: Stride of the convolution.
        dilation: Dilation of the convolution.
    """

    groups: int
    merged: int
    split: int
    rows: int
    columns: int
    size: int
    stride: int = 1
    dilation: int = 1

    @property
    def products(self) -> int:
        """Number of matrix products."""
        return self.merged * self.split

    @property
    def reach(self) -> int:
        """Pixels that the kernel reaches to each side."""
        return self.dilation * (self.size // 2)

    @property
    def window(self) -> tuple:
        """Height and width of the window that a block sees."""
        reach = self.dilation * (self.size - 1) + 1
        return tuple(self.stride * (side - 1) + reach for side in (self.rows, self.columns))

    @property
    def pixels(self) -> int:
        """Pixels of a block."""
        return self.rows * self.columns

    def taps(self, row: int, column: int) -> tuple:
        """Return the rows and columns of the window that one pixel of the block sees."""
        step, reach = self.dilation, self.dilation * (self.size - 1) + 1
        top, left = row * self.stride, column * self.stride
        return slice(top, top + reach, step), slice(left, left + reach, step)


def pack(weight: Tensor, blocking: Blocking, depth: int = 1) -> Tensor:
    """Return the matrices that compute a convolution block by block.

    Args:
        weight: (out_channels, C / groups, k, k).
        blocking: How the convolution is blocked.
        depth: The rows are padded with zeros to a multiple of it.

    Returns:
        (products, pixels * out_channels / products, depth): the columns of a product are ordered by
        row and column in the block and by output; the values of each by row and column in the
        window and by input channel.
    """
    full = merge_groups(weight, blocking.groups, blocking.merged)
    full = full.unflatten(0, (blocking.products, -1))
    outputs, inputs = full.shape[1:3]
    window = blocking.window
    packed = full.new_zeros(len(full), blocking.rows, blocking.columns, outputs, *window, inputs)
    for row in range(blocking.rows):
        for column in range(blocking.columns):
            y, x = blocking.taps(row, column)
            packed[:, row, column, :, y, x] = full.permute(0, 1, 3, 4, 2)
    packed = packed.flatten(4).flatten(1, 3)
    return F.pad(packed, (0, -packed.shape[-1] % depth))


def unpack(packed: Tensor, blocking: Blocking, inputs: int) -> Tensor:
    """Return the gradient of a weight, given that of :func:`pack`: its adjoint.

    Args:
        packed: Gradient of the packed weight.
        blocking: How the convolution is blocked.
        inputs: Input channels per group of the convolution.

    Returns:
        (out_channels, inputs, k, k).
    """
    height, width = blocking.window
    side = blocking.groups // blocking.merged
    values = packed[..., : height * width * inputs * side]
    values = values.unflatten(-1, (height, width, -1))
    values = values.unflatten(1, (blocking.rows, blocking.columns, -1))
    full = 0
    for row in range(blocking.rows):
        for column in range(blocking.columns):
            y, x = blocking.taps(row, column)
            full = full + values[:, row, column, :, y, x]
    full = full.permute(0, 1, 4, 2, 3).flatten(0, 1)
    return split_groups(full, blocking.groups, blocking.merged)
