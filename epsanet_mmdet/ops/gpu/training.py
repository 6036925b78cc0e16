"""EPSANet blocks in training on GPUs, with their maps in channels-last memory.

A block is one function for autograd. It saves its maps before their normalisation, and normalises
and rectifies them again in the backward pass.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from ..block import BlockParts
from ..parts import Normed
from ..support import gradient_is_observed, modes_observe
from .attention import attention_gradient, scaled_attention
from .blocked_conv import blocked_conv, tile_count, weight_gradient
from .choice import choose_conv, choose_pointwise
from .compute import Compute
from .evaluation import plan_branches
from .maps import affine, affine_gradient, gradient_sums
from .norms import NormedChannels, normalise, normalise_gradient, weighted_gradient
from .packing import Packing, packing
from .plan import ConvPlan, ConvShape, padded_sides
from .pointwise import pointwise
from .setting import guarded


def train_block(parts: BlockParts, x: Tensor, compute: Compute) -> Tensor:
    """Compute a block whose gradients are recorded.

    Args:
        parts: Parts of the block; all norms have parameters and statistics.
        x: (B, C, H, W).
        compute: What computes.
    """
    return _Block.apply(x, parts, compute, *_parameters(parts))


def _parameters(parts: BlockParts) -> List[Tensor]:
    tensors = [*_of(parts.reduce), *parts.branches.weights, *parts.squeeze]
    tensors += [parts.norm.weight, parts.norm.bias, *_of(parts.expand)]
    return tensors + (_of(parts.shortcut) if parts.shortcut else [])


def _of(conv: Normed) -> List[Tensor]:
    return [conv.weight, conv.norm.weight, conv.norm.bias]


class _Geometry(NamedTuple):
    """How the branches of a block are computed for one size of maps."""

    out: Tuple[int, int]
    plans: List[ConvPlan]
    packing: Packing
    margin: int
    padded: Tuple[int, int]


class _Block(Function):
    @staticmethod
    def forward(ctx, x: Tensor, parts: BlockParts, compute: Compute, *parameters: Tensor) -> Tensor:
        x = x.to(compute.dtype, memory_format=torch.channels_last).permute(0, 2, 3, 1)
        run = _Pass(parts, compute)
        out, saved = run.forward(x)
        ctx.run = run
        ctx.save_for_backward(x, out, *saved, *parameters)
        ctx.count = len(saved)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, out, *tensors = ctx.saved_tensors
        saved, parameters = tensors[: ctx.count], tensors[ctx.count :]
        run, needed, grads = ctx.run, ctx.needs_input_grad, None
        if not (gradient_is_observed(grad) or modes_observe()):
            grads = guarded(lambda: run.backward(x, out, saved, grad, needed))
        if grads is None:
            dtype = run.compute.dtype
            with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
                grads = _plain_gradients(run.parts, x, parameters, grad, needed)
        of_x, *of_parameters = grads
        return of_x, None, None, *of_parameters


class _Pass:
    """A forward pass through a block, and the backward pass of the same."""

    def __init__(self, parts: BlockParts, compute: Compute) -> None:
        self.parts, self.compute = parts, compute

    def forward(self, x: Tensor) -> Tuple[Tensor, List[Tensor]]:
        parts = self.parts
        y1, self.norm1 = self._normed(x, parts.reduce)
        self.geometry = self._branch_geometry(y1)
        flat = torch.cat([weight.detach().flatten() for weight in parts.branches.weights])
        padded = self._pad(y1)
        features, sums = self._branches(padded, flat)
        totals = sums.sum(2)  # (1 or 2, B, C)
        pixels = features.shape[1] * features.shape[2]
        self.squeeze = [t.detach().float().flatten() for t in parts.squeeze]
        attention = torch.empty_like(totals[0])
        count = len(parts.branches.weights)
        scaled_attention(totals[0][:, None], self.squeeze, None, attention, count, pixels)
        self.norm2 = normalise(parts.norm, pixels * len(x), *totals, attention=attention)
        y3, self.norm3 = self._normed(
            features, parts.expand, in_scale=self.norm2.scale, in_shift=self.norm2.shift
        )
        saved, out = [y1, features, totals, attention, flat, y3], torch.empty_like(y3)
        add, add_scale, add_shift = x, None, None
        if parts.shortcut:
            add, self.norm_shortcut = self._normed(x, parts.shortcut)
            add_scale, add_shift = self.norm_shortcut[:2]
            saved.append(add)
        affine(y3, *self.norm3[:2], out, add, add_scale, add_shift)
        return out, saved

    def backward(
        self, x: Tensor, out: Tensor, saved: List[Tensor], grad: Tensor, needed: Sequence[bool]
    ) -> List[Optional[Tensor]]:
        parts = self.parts
        y1, features, totals, attention, flat, y3, *shortcut = saved
        grad = grad.to(self.compute.dtype, memory_format=torch.channels_last).permute(0, 2, 3, 1)
        count = y3.numel() // y3.shape[3]

        # The sum of the last norm and the shortcut, and the ReLU.
        second = (shortcut[0], self.norm_shortcut.mean) if shortcut else (None, None)
        of_y3 = torch.empty_like(y3)
        of_identity = None if shortcut else torch.empty_like(y3)
        of_shortcut = torch.empty_like(y3) if shortcut else None
        sums, *products = gradient_sums(
            grad, y3, out, centre=self.norm3.mean, x2=second[0], centre2=second[1]
        )
        of_norm3, slopes = normalise_gradient(
            parts.expand.norm, self.norm3, count, sums, products[0]
        )
        of_shortcut_norm, slopes2 = [], (None, None, None)
        if shortcut:
            of_shortcut_norm, slopes2 = normalise_gradient(
                parts.shortcut.norm, self.norm_shortcut, count, sums, products[1]
            )
        affine_gradient(
            grad, y3, slopes, of_y3, out, centre=self.norm3.mean, of_add=of_identity,
            x2=second[0], centre2=second[1], slopes2=slopes2, of_x2=of_shortcut,
        )  # fmt: skip

        # The second convolution, the norm before it and the attention.
        of_z, scale, shift = self._through(of_y3, parts.expand), *self.norm2[:2]
        z = torch.empty_like(features)
        affine(features, scale, shift, z)
        of_expand = self._of_weight(of_y3, z, parts.expand)
        sums, products = gradient_sums(of_z, features, scale=scale, shift=shift)
        of_norm2, of_attention, slopes = weighted_gradient(
            parts.norm, self.norm2, count, sums, products,
            totals[0], totals[1] if len(totals) > 1 else None, attention,
        )  # fmt: skip
        of_totals, of_squeeze = attention_gradient(
            totals[0], of_attention, self.squeeze, len(parts.branches.weights), count // len(x)
        )
        slopes[2].add_(of_totals)

        # The branches, the norm before them and the first convolution.
        of_p, of_branches = self._through_branches(of_z, features, scale, shift, slopes, y1, flat)
        of_y1, (scale, shift, mean, _) = torch.empty_like(y1), self.norm1
        sums, products = gradient_sums(of_p, y1, scale=scale, shift=shift, centre=mean)
        count = y1.numel() // y1.shape[3]
        of_norm1, slopes = normalise_gradient(parts.reduce.norm, self.norm1, count, sums, products)
        affine_gradient(of_p, y1, slopes, of_y1, scale=scale, shift=shift, centre=mean)
        of_reduce = self._of_weight(of_y1, x, parts.reduce)
        of_squeeze = [g.view(t.shape) for g, t in zip(of_squeeze, parts.squeeze)]
        grads = [of_reduce, *of_norm1, *of_branches, *of_squeeze, *of_norm2, of_expand, *of_norm3]
        if shortcut:
            grads += [self._of_weight(of_shortcut, x, parts.shortcut), *of_shortcut_norm]
        of_x = None
        if needed[0]:
            of_x = self._through(of_y1, parts.reduce, x, of_identity)
            if shortcut:
                of_x = self._through(of_shortcut, parts.shortcut, x, of_x)
            of_x = of_x.permute(0, 3, 1, 2)
        return [of_x, *(g if need else None for g, need in zip(grads, needed[3:]))]

    def _normed(self, x: Tensor, conv: Normed, **more: Tensor) -> Tuple[Tensor, NormedChannels]:
        """Return a 1x1 convolution of x and what the norm after it does."""
        source = x[:, :: conv.stride, :: conv.stride]
        y = x.new_empty(*source.shape[:3], len(conv.weight))
        tile, moments = self._tile(y, x.shape[3]), (None, None)
        if conv.norm.training:
            tiles = -(-y.shape[1] * y.shape[2] // tile.pixels)
            moments = y.new_empty(2, len(y) * tiles, y.shape[3], dtype=torch.float32)
        weight = conv.weight.detach().flatten(1)
        pointwise(
            source, weight, y, tile, self.compute.precision,
            sums=moments[0], squares=moments[1], **more,
        )  # fmt: skip
        return y, normalise(conv.norm, y.numel() // y.shape[3], *moments)

    def _tile(self, out: Tensor, inputs: int):
        pixels, outputs = out.numel() // out.shape[3], out.shape[3]
        return choose_pointwise(pixels, inputs, outputs, self.compute)

    def _through(
        self, grad: Tensor, conv: Normed, x: Optional[Tensor] = None, add: Optional[Tensor] = None
    ) -> Tensor:
        """Return the gradient of the input of a 1x1 convolution, added to another one.

        Args:
            grad: Gradient of the output.
            conv: The convolution.
            x: Its input, needed for strides.
            add: Gradient to add, which is overwritten where there are strides.
        """
        weight, stride = conv.weight.detach().flatten(1).t(), conv.stride
        if stride == 1:
            out = add if add is not None else grad.new_empty(*grad.shape[:3], len(weight))
            target = out
        else:
            out = add if add is not None else torch.zeros_like(x)
            target = out[:, ::stride, ::stride]
        tile = self._tile(target, grad.shape[3])
        more = None if add is None else target
        pointwise(grad, weight, target, tile, self.compute.precision, add=more)
        return out

    def _of_weight(self, grad: Tensor, x: Tensor, conv: Normed) -> Optional[Tensor]:
        """Return the gradient of the weight of a 1x1 convolution, by the library."""
        if not conv.weight.requires_grad:
            return None
        stride, weight = [conv.stride] * 2, conv.weight.detach().to(grad.dtype)
        options = (stride, [0, 0], [1, 1], False, [0, 0], 1, [False, True, False])
        grad, x = grad.permute(0, 3, 1, 2), x.permute(0, 3, 1, 2)
        own = torch.ops.aten.convolution_backward(grad, x, weight, None, *options)[1]
        return own.to(conv.weight.dtype)

    def _branch_geometry(self, x: Tensor) -> _Geometry:
        branches = self.parts.branches
        out = tuple(-(-side // branches.stride) for side in x.shape[1:3])
        plans = plan_branches(branches, len(x) * out[0] * out[1], self.compute)
        margin, *padded = padded_sides(*x.shape[1:3], plans, x.shape[3])
        shapes = tuple(weight.shape for weight in branches.weights)
        own = packing(shapes, tuple(plans), False, x.device)
        return _Geometry(out, plans, own, margin, tuple(padded))

    def _pad(self, y1: Tensor) -> Tensor:
        """Return the normalised and rectified map, padded with zeros."""
        margin, (_, height, width, _) = self.geometry.margin, y1.shape
        padded = y1.new_zeros(len(y1), *self.geometry.padded, y1.shape[3])
        inside = padded[:, margin : margin + height, margin : margin + width]
        affine(y1, *self.norm1[:2], inside)
        return padded

    def _branches(self, padded: Tensor, flat: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the features of the branches, and their sums and sums of squares in tiles."""
        branches, geometry = self.parts.branches, self.geometry
        packed = geometry.packing.pack(flat, self.compute.dtype)
        channels = len(packed) * branches.width
        features = padded.new_empty(len(padded), *geometry.out, channels)
        tiles = max(tile_count(*geometry.out, *plan) for plan in geometry.plans)
        kinds = 1 + self.parts.norm.training
        sums = features.new_zeros(kinds, len(padded), tiles, channels, dtype=torch.float32)
        for i, (plan, weight) in enumerate(zip(geometry.plans, packed)):
            own = slice(i * branches.width, (i + 1) * branches.width)
            blocked_conv(
                self._source(padded, plan), weight, features[..., own], *plan,
                self.compute.precision, *sums[..., own],
            )  # fmt: skip
        return features, sums

    def _source(self, padded: Tensor, plan: ConvPlan) -> Tensor:
        skipped = self.geometry.margin - plan.blocking.reach
        return padded[:, skipped:, skipped:]

    def _through_branches(
        self,
        of_z: Tensor,
        features: Tensor,
        scale: Tensor,
        shift: Tensor,
        slopes: Sequence[Tensor],
        y1: Tensor,
        flat: Tensor,
    ) -> Tuple[Tensor, List[Optional[Tensor]]]:
        """Return the gradients of the branches' input and weights."""
        branches = self.parts.branches
        size, width, stride = y1.shape[1:3], branches.width, branches.stride
        pixels = len(y1) * size[0] * size[1]
        plans = [
            choose_conv(
                ConvShape(width, y1.shape[3], w.shape[-1], groups, 1, branches.dilation),
                pixels,
                self.compute,
            )
            for w, groups in zip(branches.weights, branches.groups)
        ]
        margin, *sides = padded_sides(*size, plans, width)
        padded = of_z.new_zeros(len(y1), *sides, features.shape[3])
        inside = padded[:, margin : margin + size[0], margin : margin + size[1]]
        of_features = inside[:, ::stride, ::stride]
        affine_gradient(of_z, features, slopes, of_features, scale=scale, shift=shift)
        shapes = tuple(weight.shape for weight in branches.weights)
        packed = packing(shapes, tuple(plans), True, y1.device).pack(flat, self.compute.dtype)
        of_p = torch.empty_like(y1)
        for i, (plan, weight) in enumerate(zip(plans, packed)):
            own = slice(i * width, (i + 1) * width)
            skipped = margin - plan.blocking.reach
            source = padded[:, skipped:, skipped:, own]
            blocked_conv(source, weight, of_p, *plan, self.compute.precision, accumulate=i > 0)
        return of_p, self._of_branches(of_features, y1)

    def _of_branches(self, of_features: Tensor, y1: Tensor) -> List[Optional[Tensor]]:
        weights, width = self.parts.branches.weights, self.parts.branches.width
        if not any(weight.requires_grad for weight in weights):
            return [None] * len(weights)
        geometry, padded = self.geometry, self._pad(y1)
        count = len(geometry.packing.index)
        # Enough programs for the GPU, each with a whole number of tiles.
        programs = sum(
            shape[0] * shape[2] // plan.tile.depth
            for shape, plan in zip(geometry.packing.shapes, geometry.plans)
        ) / len(weights)
        least = min(len(y1) * tile_count(*geometry.out, *plan) for plan in geometry.plans)
        parts = max(1, min(least, round(2 * self.compute.multiprocessors / programs)))
        partial = y1.new_empty(parts, count, dtype=torch.float32)
        for i, (plan, out) in enumerate(zip(geometry.plans, geometry.packing.split(partial))):
            own = slice(i * width, (i + 1) * width)
            weight_gradient(
                self._source(padded, plan), of_features[..., own], out, *plan,
                self.compute.precision,
            )  # fmt: skip
        flat = geometry.packing.unpack(partial)
        sizes = [weight.numel() for weight in weights]
        return [g.view(w.shape).to(w.dtype) for g, w in zip(flat.split(sizes), weights)]


def _plain_gradients(
    parts: BlockParts,
    x: Tensor,
    parameters: Sequence[Tensor],
    grad: Tensor,
    needed: Sequence[bool],
) -> List[Optional[Tensor]]:
    """Return the gradients of a block by torch's own operations, which can be differentiated."""
    create_graph = torch.is_grad_enabled()
    x = x.permute(0, 3, 1, 2)
    with torch.enable_grad():
        out = plain_block(parts, x, parameters)
    inputs, needed = [x, *parameters], [needed[0], *needed[3:]]
    wanted = [t for t, need in zip(inputs, needed) if need]
    grads = iter(torch.autograd.grad(out, wanted, grad.to(out.dtype), create_graph=create_graph))
    return [next(grads) if need else None for need in needed]


def plain_block(parts: BlockParts, x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Compute a block by torch's own operations, without updating running statistics."""
    from ..attention import branch_attention

    tensors = iter(parameters)
    branches = parts.branches
    count = len(branches.weights)

    def normed(y: Tensor, norm: nn.BatchNorm2d, weight: Tensor, bias: Tensor) -> Tensor:
        statistics = (None, None) if norm.training else (norm.running_mean, norm.running_var)
        return F.batch_norm(y, *statistics, weight, bias, norm.training, 0, norm.eps)

    def conv_norm(y: Tensor, conv: Normed) -> Tensor:
        weight, *of_norm = (next(tensors) for _ in range(3))
        return normed(F.conv2d(y, weight, None, conv.stride), conv.norm, *of_norm)

    y = conv_norm(x, parts.reduce).relu()
    weights = [next(tensors) for _ in range(count)]
    features = torch.stack(
        [
            F.conv2d(
                y,
                w,
                None,
                branches.stride,
                branches.dilation * (w.shape[-1] // 2),
                branches.dilation,
                groups,
            )
            for w, groups in zip(weights, branches.groups)
        ],
        dim=1,
    )
    squeeze = [next(tensors) for _ in range(4)]
    attention = branch_attention(features.mean((3, 4)), *squeeze)[..., None, None]
    y = (features * attention.to(features.dtype)).flatten(1, 2)
    y = normed(y, parts.norm, next(tensors), next(tensors)).relu()
    y = conv_norm(y, parts.expand)
    return (y + (conv_norm(x, parts.shortcut) if parts.shortcut else x)).relu()
