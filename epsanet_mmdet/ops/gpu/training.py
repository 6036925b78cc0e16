"""EPSANet blocks in training on GPUs, with their maps in channels-last memory.

A block is one function for autograd. It saves its maps before their normalisation, and normalises
and rectifies them again in the backward pass.
"""

from typing import List, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.autograd import Function

from ..block import BlockParts
from ..parts import Normed
from ..support import gradient_is_observed, modes_observe, plain_gradients
from .attention import attention_gradient, scaled_attention
from .branch_gradients import branch_gradients
from .branches import branch_features, geometry
from .choice import choose_pointwise
from .compute import Compute, as_nchw, as_nhwc
from .maps import affine, affine_gradient, gradient_sums
from .norms import NormedChannels, normalise, normalise_gradient, weighted_gradient
from .packing import packing
from .plain_block import plain_block
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


class _Block(Function):
    @staticmethod
    def forward(ctx, x: Tensor, parts: BlockParts, compute: Compute, *parameters: Tensor) -> Tensor:
        run = _Pass(parts, compute)
        out, saved = run.forward(as_nhwc(x, compute))
        ctx.run = run
        ctx.save_for_backward(x, out, *saved, *parameters)
        ctx.count = len(saved)
        return as_nchw(out)

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, out, *tensors = ctx.saved_tensors
        saved, parameters = tensors[: ctx.count], tensors[ctx.count :]
        run, needed, grads = ctx.run, ctx.needs_input_grad, None
        if not (gradient_is_observed(grad) or modes_observe()):
            nhwc = as_nhwc(x, run.compute)
            grads = guarded(lambda: run.backward(nhwc, out, saved, grad, needed))
        if grads is None:
            dtype = run.compute.dtype
            with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
                grads = plain_gradients(
                    lambda: plain_block(run.parts, x, parameters),
                    [x, *parameters],
                    [needed[0], *needed[3:]],
                    grad,
                )
        of_x, *of_parameters = grads
        return of_x, None, None, *of_parameters


class _Pass:
    """A forward pass through a block, and the backward pass of the same."""

    def __init__(self, parts: BlockParts, compute: Compute) -> None:
        self.parts, self.compute = parts, compute

    def forward(self, x: Tensor) -> Tuple[Tensor, List[Tensor]]:
        parts = self.parts
        y1, self.norm1 = self._normed(x, parts.reduce)
        branches = parts.branches
        self.geometry = geometry(branches, len(y1), y1.shape[1:3], self.compute)
        shapes = tuple(weight.shape for weight in branches.weights)
        self.packing = packing(shapes, self.geometry.plans, False, x.device)
        flat = torch.cat([weight.detach().flatten() for weight in branches.weights])
        packed = self.packing.pack(flat, self.compute.dtype)
        kinds = 1 + parts.norm.training
        features, sums = branch_features(
            self._pad(y1), packed, self.geometry, branches.width, kinds
        )
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
        grad = as_nhwc(grad, self.compute)
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
        def write(of_features: Tensor) -> None:
            affine_gradient(of_z, features, slopes, of_features, scale=scale, shift=shift)

        of_p, of_branches = branch_gradients(
            parts.branches, self.geometry, self.packing, flat, write, lambda: self._pad(y1)
        )
        of_y1, norm1 = torch.empty_like(y1), self.norm1
        masks = dict(scale=norm1.scale, shift=norm1.shift, centre=norm1.mean)
        sums, products = gradient_sums(of_p, y1, **masks)
        count = y1.numel() // y1.shape[3]
        of_norm1, slopes1 = normalise_gradient(parts.reduce.norm, norm1, count, sums, products)
        affine_gradient(of_p, y1, slopes1, of_y1, **masks)
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
            of_x = as_nchw(of_x)
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
        grad, x = as_nchw(grad), as_nchw(x)
        own = torch.ops.aten.convolution_backward(grad, x, weight, None, *options)[1]
        return own.to(conv.weight.dtype)

    def _pad(self, y1: Tensor) -> Tensor:
        """Return the normalised and rectified map, padded with zeros."""
        padded, inside = self.geometry.pad(y1, y1.shape[3])
        affine(y1, *self.norm1[:2], inside)
        return padded
