"""The branches of a PSA module on GPUs, as blocked convolutions of one padded map."""

import functools
from typing import Callable, List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

from ..parts import Branches
from .blocked_conv import blocked_conv, tile_count
from .choice import choose_conv
from .compute import Compute
from .plan import ConvPlan, ConvShape, padded_sides


class Geometry(NamedTuple):
    """How branches are computed for one size of maps.

    Attributes:
        size: Height and width of the map.
        out: Height and width of the features.
        plans: Plan of each branch.
        margin: Zeros before each row and column of the padded map.
        padded: Height and width of the padded map.
        compute: What computes.
    """

    size: Tuple[int, int]
    out: Tuple[int, int]
    plans: Tuple[ConvPlan, ...]
    margin: int
    padded: Tuple[int, int]
    compute: Compute

    def pad(self, x: Tensor, channels: int) -> Tuple[Tensor, Tensor]:
        """Return a padded map of zeros, and the part of it that is the map.

        Args:
            x: Tensor of the batch, the type and the device of the map.
            channels: Channels of the map.
        """
        margin, (height, width) = self.margin, self.size
        padded = x.new_zeros(len(x), *self.padded, channels)
        return padded, padded[:, margin : margin + height, margin : margin + width]

    def source(self, padded: Tensor, plan: ConvPlan) -> Tensor:
        """Return the part of a padded map that begins with the first window of a plan."""
        skipped = self.margin - plan.blocking.reach
        return padded[:, skipped:, skipped:]


def geometry(branches: Branches, batch: int, size: Sequence[int], compute: Compute) -> Geometry:
    """Return how to compute branches for maps of this size."""
    sizes = branches.in_channels, branches.width, branches.stride
    return _geometry(branches, *sizes, batch, size, compute)


def gradient_geometry(
    branches: Branches, batch: int, size: Sequence[int], compute: Compute
) -> Geometry:
    """Return how to compute the gradient of maps of this size by transposed weights.

    The gradient of the features is padded, and has zeros between its pixels if there is a stride.
    """
    return _geometry(branches, branches.width, branches.in_channels, 1, batch, size, compute)


def _geometry(
    branches: Branches,
    inputs: int,
    outputs: int,
    stride: int,
    batch: int,
    size: Sequence[int],
    compute: Compute,
) -> Geometry:
    out = tuple(-(-side // stride) for side in size)
    plans = tuple(
        choose_conv(
            ConvShape(inputs, outputs, weight.shape[-1], groups, stride, branches.dilation),
            batch * out[0] * out[1],
            compute,
        )
        for weight, groups in zip(branches.weights, branches.groups)
    )
    margin, *padded = padded_sides(*size, plans, inputs)
    return Geometry(tuple(size), out, plans, margin, tuple(padded), compute)


def branch_features(
    padded: Tensor, packed: Sequence[Tensor], geometry: Geometry, width: int, kinds: int
) -> Tuple[Tensor, Tensor]:
    """Return the features of the branches, and their sums in tiles.

    Args:
        padded: The padded map.
        packed: Packed weight of each branch.
        geometry: How to compute them.
        width: Output channels of a branch.
        kinds: 1 for sums, 2 for sums and sums of squares.

    Returns:
        (B, H, W, branches * width) and (kinds, B, tiles, branches * width).
    """
    channels, plans = len(packed) * width, geometry.plans
    features = padded.new_empty(len(padded), *geometry.out, channels)
    tiles = max(tile_count(*geometry.out, *plan) for plan in plans)
    sums = features.new_zeros(kinds, len(padded), tiles, channels, dtype=torch.float32)

    def compute(i: int) -> None:
        own, source = slice(i * width, (i + 1) * width), geometry.source(padded, plans[i])
        blocked_conv(
            source, packed[i], features[..., own], *plans[i],
            geometry.compute.precision, *sums[..., own],
        )  # fmt: skip

    concurrently([functools.partial(compute, i) for i in range(len(plans))], padded)
    return features, sums


def concurrently(calls: List[Callable[[], None]], x: Tensor) -> None:
    """Make calls; in a CUDA graph, let the GPU run them at the same time."""
    if not x.is_cuda or not torch.cuda.is_current_stream_capturing():
        for call in calls:
            call()
        return
    current = torch.cuda.current_stream()
    streams = [current, *(torch.cuda.Stream() for _ in calls[1:])]
    for stream in streams[1:]:
        stream.wait_stream(current)
    for call, stream in zip(calls, streams):
        with torch.cuda.stream(stream):
            call()
    for stream in streams[1:]:
        current.wait_stream(stream)
