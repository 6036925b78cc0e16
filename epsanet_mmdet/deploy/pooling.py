"""Adaptive average pooling of maps of any size, which torch's exporter by tracing cannot write."""

from typing import Any, Sequence, Union

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.utils import _pair
from torch.overrides import TorchFunctionMode


class PoolByProducts(TorchFunctionMode):
    """While this is active, :func:`pool_adaptively` replaces ``adaptive_avg_pool2d``."""

    def __torch_function__(self, func, types, args=(), kwargs=None) -> Any:
        function = pool_adaptively if func is F.adaptive_avg_pool2d else func
        return function(*args, **(kwargs or {}))


def pool_adaptively(input: Tensor, output_size: Union[int, Sequence[int]]) -> Tensor:
    """Return ``adaptive_avg_pool2d``, computed as two matrix products.

    Shape:
        (B, C, H, W) -> (B, C, *output_size).
    """
    height, width = _pair(output_size)
    if height == width == 1:
        return input.mean((2, 3), keepdim=True)
    size = torch._shape_as_tensor(input)
    rows, columns = _shares(size[2], height), _shares(size[3], width)
    return rows.to(input) @ input @ columns.to(input).T


def _shares(length: Tensor, cells: int) -> Tensor:
    """Return the share of each of ``length`` positions in each cell, (cells, length)."""
    cell, position = torch.arange(cells)[:, None], torch.arange(length)
    start = torch.div(cell * length, cells, rounding_mode='floor')
    end = torch.div((cell + 1) * length + cells - 1, cells, rounding_mode='floor')
    inside = (position >= start) & (position < end)
    return inside.float() / (end - start)
