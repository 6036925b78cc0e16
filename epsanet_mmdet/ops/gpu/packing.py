"""Triton kernels that pack the weights of a block's branches, and unpack their gradients."""

import functools
from typing import List, NamedTuple, Sequence, Tuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .blocking import pack
from .plan import ConvPlan

VALUES = 1024  # of a tile


@triton.jit
def _pack_kernel(weights, index, out, count, V: tl.constexpr):
    place = tl.program_id(0) * V + tl.arange(0, V)
    source = tl.load(index + place, mask=place < count, other=-1)
    value = tl.load(weights + source, mask=source >= 0, other=0.0)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=place < count)


@triton.jit
def _unpack_kernel(packed, index, out, count, PIXELS: tl.constexpr, V: tl.constexpr):
    place, pixel = tl.program_id(0) * V + tl.arange(0, V), tl.arange(0, PIXELS)
    at = place[:, None] * PIXELS + pixel[None, :]
    source = tl.load(index + at, mask=(place < count)[:, None], other=-1)
    value = tl.load(packed + source, mask=source >= 0, other=0.0)
    tl.store(out + place, tl.sum(value, 1), mask=place < count)


class Packing(NamedTuple):
    """Where the values of the packed weights of several branches are.

    Attributes:
        shapes: Shape of each packed weight.
        index: Place in the concatenated weights of each packed value; -1 for zeros.
        places: (weights, pixels): places of each weight in the packed ones; -1 for none.
    """

    shapes: Sequence[Tuple[int, ...]]
    index: Tensor
    places: Tensor

    def pack(self, weights: Tensor, dtype: torch.dtype) -> List[Tensor]:
        """Return the packed weights, given the concatenated weights."""
        count = len(self.index)
        out = weights.new_empty(count, dtype=dtype)
        _pack_kernel[(triton.cdiv(count, VALUES),)](weights, self.index, out, count, V=VALUES)
        return self.split(out)

    def split(self, packed: Tensor) -> List[Tensor]:
        """Split the last dimension of a tensor of all packed values, which is not copied."""
        sizes = [a * b * c for a, b, c in self.shapes]
        parts = packed.split(sizes, dim=-1)
        return [part.unflatten(-1, shape) for part, shape in zip(parts, self.shapes)]

    def unpack(self, packed: Tensor) -> Tensor:
        """Return the sums of the packed values of each of the concatenated weights."""
        count, pixels = self.places.shape
        out, rows = packed.new_empty(count), max(1, VALUES // pixels)
        _unpack_kernel[(triton.cdiv(count, rows),)](
            packed, self.places, out, count, PIXELS=pixels, V=rows
        )
        return out


@functools.cache  # for ever, since CUDA graphs read the indices
def packing(
    shapes: Tuple[Tuple[int, ...], ...],
    plans: Tuple[ConvPlan, ...],
    transposed: bool,
    device: torch.device,
) -> Packing:
    """Return the packing of weights for their plans.

    Args:
        shapes: Shapes of the weights.
        plans: Plan of each; of the convolution with the transposed weight if ``transposed``.
        transposed: Pack the weights that compute the gradient of the map.
        device: Device of the weights.
    """
    packed, first = [], 1
    for shape, (blocking, tile) in zip(shapes, plans):
        count = torch.Size(shape).numel()
        numbers = torch.arange(first, first + count, dtype=torch.float64).view(shape)
        if transposed:
            numbers = transpose(numbers, blocking.groups)
        packed.append(pack(numbers, blocking, tile.depth).long() - 1)
        first += count
    index = torch.cat([numbers.flatten() for numbers in packed])
    pixels = max(plan.blocking.pixels for plan in plans)
    places = torch.full((first - 1, pixels), -1, dtype=torch.long)
    where = torch.nonzero(index >= 0).flatten()
    order = where[torch.argsort(index[where], stable=True)]
    values = index[order]
    starts = torch.searchsorted(values, torch.arange(first - 1))
    places[values, torch.arange(len(values)) - starts[values]] = order
    return Packing(
        [tuple(numbers.shape) for numbers in packed],
        index.to(device, torch.int32),
        places.to(device, torch.int32),
    )


def transpose(weight: Tensor, groups: int) -> Tensor:
    """Return the weight of the convolution that computes the gradient of the map."""
    return weight.unflatten(0, (groups, -1)).transpose(1, 2).flip(-1, -2).flatten(0, 1)
