"""EPSANet in evaluation mode on GPUs, with its maps in channels-last memory.

A block is four steps: the first 1x1 convolution with norm and ReLU, the branches, their attention,
and the second 1x1 convolution. The last one weights, normalises and rectifies the features while
it reads them, and adds the shortcut before it writes.
"""

import functools
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
import triton
from torch import Tensor, nn

from ...layers.norm import affine_of
from ..block import BlockParts
from ..parts import Branches, Normed
from .attention import scaled_attention
from .blocked_conv import blocked_conv, tile_count
from .blocking import pack
from .choice import choose_conv, choose_pointwise
from .compute import Compute
from .plan import ConvPlan, ConvShape, padded_sides
from .pointwise import pointwise
from .stem import norm_relu_max_pool


class _Pointwise(NamedTuple):
    weight: Tensor  # (out_channels, C)
    stride: int
    scale: Tensor
    shift: Tensor


class EvaluatedBlock:
    """A block with its norms folded and its weights packed for one type of maps.

    Args:
        block: Parts of the block.
        compute: What computes.
    """

    def __init__(self, block: BlockParts, compute: Compute) -> None:
        self.compute = compute
        self.reduce, self.expand = self._prepared(block.reduce), self._prepared(block.expand)
        self.shortcut = self._prepared(block.shortcut) if block.shortcut else None
        self.branches = block.branches
        self.squeeze = [
            t.detach().float().flatten(1).contiguous() if t.dim() > 1 else t.detach().float()
            for t in block.squeeze
        ]
        self.scale, self.shift = (t.float().contiguous() for t in affine_of(block.norm))
        self.packed: Dict[tuple, List[Tensor]] = {}

    def _prepared(self, conv: Normed) -> _Pointwise:
        scale, shift = (t.float().contiguous() for t in affine_of(conv.norm))
        weight = conv.weight.detach().flatten(1).to(self.compute.dtype).contiguous()
        return _Pointwise(weight, conv.stride, scale, shift)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output for a map (B, H, W, C) of the block's type."""
        identity = self._conv(x, self.shortcut) if self.shortcut else x
        stride = self.reduce.stride
        size = [-(-side // stride) for side in x.shape[1:3]]
        features, sums = self._features(x, size)
        attention = sums.new_empty(len(x), len(self.scale))
        pixels = features.shape[1] * features.shape[2]
        scaled_attention(
            sums, self.squeeze, self.scale, attention, len(self.branches.weights), pixels
        )
        return self._conv(
            features, self.expand, in_scale=attention, in_shift=self.shift, add=identity, relu=True
        )

    def _features(self, x: Tensor, size: Sequence[int]) -> Tuple[Tensor, Tensor]:
        """Return the features of the branches, and their sums over tiles."""
        branches, channels = self.branches, len(self.reduce.weight)
        out = [-(-side // branches.stride) for side in size]
        plans = plan_branches(branches, len(x) * out[0] * out[1], self.compute)
        weights = self._packed(plans)
        margin, height, width = padded_sides(*size, plans, channels)
        padded = x.new_zeros(len(x), height, width, channels)
        inside = padded[:, margin : margin + size[0], margin : margin + size[1]]
        self._conv(x, self.reduce, relu=True, out=inside)
        features = x.new_empty(len(x), *out, len(plans) * branches.width)
        tiles = [tile_count(*out, *plan) for plan in plans]
        sums = x.new_zeros((len(x), max(tiles), features.shape[-1]), dtype=torch.float32)

        def compute_branch(i: int, plan: ConvPlan, weight: Tensor) -> None:
            own = slice(i * branches.width, (i + 1) * branches.width)
            skipped = margin - plan.blocking.reach
            source = padded[:, skipped:, skipped:]
            blocked_conv(
                source, weight, features[..., own], *plan, self.compute.precision, sums[..., own]
            )

        _concurrently(
            [
                functools.partial(compute_branch, i, plan, weight)
                for i, (plan, weight) in enumerate(zip(plans, weights))
            ],
            x.device,
        )
        return features, sums

    def _packed(self, plans: Sequence[ConvPlan]) -> List[Tensor]:
        key = tuple((plan.blocking, plan.tile.depth) for plan in plans)
        if key not in self.packed:
            self.packed[key] = [
                pack(weight.detach().to(self.compute.dtype), blocking, depth).contiguous()
                for weight, (blocking, depth) in zip(self.branches.weights, key)
            ]
        return self.packed[key]

    def _conv(self, x: Tensor, conv: _Pointwise, out: Optional[Tensor] = None, **more) -> Tensor:
        if conv.stride > 1:
            x = x[:, :: conv.stride, :: conv.stride]
        if out is None:
            out = x.new_empty(*x.shape[:3], len(conv.weight))
        outputs, inputs = conv.weight.shape
        pixels = x.shape[0] * x.shape[1] * x.shape[2]
        tile = choose_pointwise(pixels, inputs, outputs, self.compute)
        pointwise(
            x, conv.weight, out, tile, self.compute.precision,
            scale=conv.scale, shift=conv.shift, **more,
        )  # fmt: skip
        return out


def plan_branches(branches: Branches, pixels: int, compute: Compute) -> List[ConvPlan]:
    """Return plans for the branches of a block whose output has so many pixels."""
    return [
        choose_conv(
            ConvShape(
                branches.in_channels,
                branches.width,
                weight.shape[-1],
                groups,
                branches.stride,
                branches.dilation,
            ),
            pixels,
            compute,
        )
        for weight, groups in zip(branches.weights, branches.groups)
    ]


class EvaluatedStem:
    """The stem of a ResNet: a convolution, a norm, a ReLU and max pooling.

    Args:
        conv: The convolution, with stride 2 and a padding that keeps the size of the map.
        norm: The norm after it.
        compute: What computes.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, compute: Compute) -> None:
        self.compute, self.stride, self.dilation = compute, conv.stride[0], conv.dilation[0]
        weight = conv.weight.detach().to(compute.dtype)
        self.channels = triton.next_power_of_2(weight.shape[1])
        self.weight = F.pad(weight, (0, 0, 0, 0, 0, self.channels - weight.shape[1]))
        scale, shift = (t.float().contiguous() for t in affine_of(norm))
        if conv.bias is not None:
            shift = shift + scale * conv.bias.detach().float()
        self.scale, self.shift = scale, shift
        self.packed: Dict[tuple, Tensor] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Return the pooled map (B, H', W', C) of images (B, 3, H, W)."""
        x = self._conv(images)
        out = x.new_empty(len(x), *((side + 1) // 2 for side in x.shape[1:3]), x.shape[3])
        norm_relu_max_pool(x, self.scale, self.shift, out)
        return out

    def _conv(self, images: Tensor) -> Tensor:
        batch, channels, *size = images.shape
        out = [-(-side // self.stride) for side in size]
        outputs, _, kernel, _ = self.weight.shape
        shape = ConvShape(self.channels, outputs, kernel, 1, self.stride, self.dilation)
        plan = choose_conv(shape, batch * out[0] * out[1], self.compute)
        if plan not in self.packed:
            self.packed[plan] = pack(self.weight, plan.blocking, plan.tile.depth).contiguous()
        margin, *sides = padded_sides(*size, [plan], self.channels)
        padded = images.new_zeros(batch, *sides, self.channels, dtype=self.compute.dtype)
        inside = padded[:, margin : margin + size[0], margin : margin + size[1], :channels]
        inside.copy_(images.permute(0, 2, 3, 1))
        features = padded.new_empty(batch, *out, outputs)
        blocked_conv(padded, self.packed[plan], features, *plan, self.compute.precision)
        return features


def _concurrently(calls: Sequence[Callable[[], None]], device: torch.device) -> None:
    """Make calls; in a CUDA graph, let the GPU run them at the same time."""
    if device.type != 'cuda' or not torch.cuda.is_current_stream_capturing():
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
