"""Batch norms, optionally after PSA's attention, as one scale and shift for every channel."""

from typing import List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from ..attention import branch_attention
from . import kernels
from .affine import AffineGradient, moments


class ChannelNorm:
    """A batch norm, optionally after the attention of a PSA module.

    Args:
        norm: Batch norm with affine parameters and running statistics.
        squeeze: Weights and biases of the PSA module's squeeze MLP. If given, the map consists of
            the features of its branches, which the attention weights first.
        branches: Number of branches.
    """

    def __init__(
        self, norm: nn.BatchNorm2d, squeeze: Sequence[Tensor] = (), branches: int = 1
    ) -> None:
        self.norm, self.branches, self.is_weighted = norm, branches, bool(squeeze)
        self.parameters = [norm.weight, norm.bias, *squeeze]

    def attention(self, means: Tensor, squeeze: Sequence[Tensor]) -> Tensor:
        """Return the attention (B, C), given the means (B, C) of the map's channels."""
        branches = means.unflatten(1, (self.branches, -1))
        return branch_attention(branches, *squeeze).flatten(1)

    def plain(self, x: Tensor, weight: Tensor, bias: Tensor, *squeeze: Tensor) -> Tensor:
        """Return the normalised map, computed by torch's own operations."""
        if self.is_weighted:
            x = x * self.attention(x.mean((2, 3)), squeeze)[..., None, None]
        norm = self.norm
        mean, variance = norm.running_mean, norm.running_var
        if norm.training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        scale = weight * (variance + norm.eps).rsqrt()
        return (x - mean[:, None, None]) * scale[:, None, None] + bias[:, None, None]

    def update(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics by those of a batch with ``count`` values per channel."""
        norm = self.norm
        norm.num_batches_tracked.add_(1)
        momentum = norm.momentum
        if momentum is None:
            momentum = 1 / norm.num_batches_tracked.item()
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(variance * (count / (count - 1)), momentum)


class NormedMap:
    """The scale and shift of every channel of a map by a :class:`ChannelNorm`, and their gradients.

    The map ``x``, weighted by the attention ``a`` (1 without PSA), becomes ``z = a * x`` and then
    ``weight * (z - centre) * inverse + bias``. The centre and the inverse standard deviation are
    those of z over the batch, or in evaluation mode the running ones.

    Args:
        x: (B, C, H, W), contiguous.
        norm: The norm. In training mode, its running statistics are updated.

    Attributes:
        scale: (B, C).
        shift: (B, C), the same for all images.
    """

    def __init__(self, x: Tensor, norm: ChannelNorm) -> None:
        self.norm, self.count, self.attention = norm, len(x) * x.shape[2] * x.shape[3], None
        module = norm.norm
        self.training = module.training
        weight, bias, *squeeze = norm.parameters
        self.centre, variance = module.running_mean, module.running_var
        if self.training or norm.is_weighted:
            self.mean, self.variance = moments(x)
        else:
            self.mean, self.variance = self.centre.expand(x.shape[:2]).contiguous(), None
        if norm.is_weighted:
            self.attention = norm.attention(self.mean, squeeze).contiguous()
        if self.training:
            self.centre, variance = torch.empty_like(weight), torch.empty_like(weight)
        self.inverse = torch.empty_like(weight)
        self.scale, self.shift = torch.empty_like(self.mean), torch.empty_like(self.mean)
        rows, address = x.shape[:2], kernels.address
        numbers = [
            *rows,
            *(address(t, *rows) for t in (self.mean, self.variance, self.attention)),
            *(address(t, rows[1]) for t in (weight, bias)),
            *(kernels.bits(module.eps), self.training),
            *(address(t, rows[1]) for t in (self.centre, variance, self.inverse)),
            *(address(t, *rows) for t in (self.scale, self.shift)),
        ]
        kernels.call('norm', numbers)
        if self.training:
            norm.update(self.centre, variance, self.count)

    def backward(
        self,
        x: Tensor,
        grad: Tensor,
        parameters: Sequence[Tensor],
        out: Optional[Tensor] = None,
        relu: bool = True,
        with_add: bool = False,
    ) -> Tuple[Tensor, Optional[Tensor], List[Tensor]]:
        """Return the gradients of the map, of what was added to it, and of the norm's parameters.

        Args:
            x: The map.
            grad: Gradient of the result, contiguous.
            parameters: Parameters of the norm.
            out: Result of the ReLU, needed if something was added before it.
            relu: True if a ReLU was applied.
            with_add: Return the gradient of what was added, too.
        """
        passes = AffineGradient(x, self.scale, self.shift, self.mean, out, relu, grad)
        weight, _, *squeeze = parameters
        of_weight, of_bias = torch.empty_like(weight), torch.empty_like(weight)
        slope, constant, of_attention = (torch.empty_like(self.mean) for _ in range(3))
        sums = passes.sums()
        rows, address = x.shape[:2], kernels.address
        pixels = x.shape[2] * x.shape[3]
        numbers = [
            *(*rows, pixels, self.training),
            *(address(t, *rows) for t in (self.mean, self.variance, self.attention)),
            *(address(t, rows[1]) for t in (weight, self.centre, self.inverse)),
            *(address(t, *rows) for t in sums),
            *(address(t, rows[1]) for t in (of_weight, of_bias)),
            *(address(t, *rows) for t in (slope, constant, of_attention)),
        ]
        kernels.call('norm_gradient', numbers)
        of_squeeze = []
        if self.attention is not None:
            of_mean, *of_squeeze = self._through_attention(of_attention, squeeze)
            constant.add_(of_mean, alpha=1 / pixels)
        grad_x, grad_add = passes.gradients(slope, constant, with_add)
        return grad_x, grad_add, [of_weight, of_bias, *of_squeeze]

    @torch.enable_grad()
    def _through_attention(self, grad: Tensor, squeeze: Sequence[Tensor]) -> Tuple[Tensor, ...]:
        leaves = [t.detach().requires_grad_() for t in (self.mean, *squeeze)]
        return torch.autograd.grad(self.norm.attention(leaves[0], leaves[1:]), leaves, grad)
