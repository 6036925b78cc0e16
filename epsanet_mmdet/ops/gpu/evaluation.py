"""EPSANet in evaluation mode on GPUs, with its maps in channels-last memory.

A block is four steps: the first 1x1 convolution with norm and ReLU, the branches, their attention,
and the second 1x1 convolution. The last one weights, normalises and rectifies the features while
it reads them, and adds the shortcut before it writes.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch.nn.functional as F
import triton
from torch import Tensor, nn

from ...layers.norm import affine_of
from ..block import BlockParts
from ..parts import Normed
from .attention import scaled_attention
from .blocked_conv import blocked_conv
from .blocking import pack
from .branches import branch_features, geometry
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
        self.squeeze = [t.detach().float().flatten() for t in block.squeeze]
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
        own = geometry(self.branches, len(x), size, self.compute)
        padded, inside = own.pad(x, len(self.reduce.weight))
        self._conv(x, self.reduce, relu=True, out=inside)
        packed = self._packed(own.plans)
        features, sums = branch_features(padded, packed, own, self.branches.width, kinds=1)
        return features, sums[0]

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
