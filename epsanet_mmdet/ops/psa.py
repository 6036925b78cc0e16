"""Pyramid squeeze attention, on any device, in fewer and wider operations."""

from typing import Optional, Sequence

import torch
from torch import Tensor, nn

from ..layers import PSAModule
from ..layers.deployed_psa import DeployedPSA, PlainBranches
from .attention import branch_attention
from .cpu.branch_convs import branch_convs, computed_directly
from .merging import library_convs
from .support import (
    accelerates,
    branch_channels,
    conv_options,
    may_be_bypassed,
    se_parameters,
    squeezes_plainly,
)


@accelerates(PSAModule)
def psa_forward(psa: PSAModule, x: Tensor) -> Optional[Tensor]:
    """Weigh the branches by attention, with narrow groups merged or by our own kernel."""
    features = branch_features(psa.convs, x)
    if features is None or not squeezes_plainly(psa, features.shape[2]):
        return None
    attention = branch_attention(features.mean((3, 4)), *se_parameters(psa)).to(features.dtype)
    return _weigh(features, attention[..., None, None]).flatten(1, 2)


@accelerates(DeployedPSA)
def deployed_psa_forward(psa: DeployedPSA, x: Tensor) -> Optional[Tensor]:
    """Compute the branches of a deployed module as those of another."""
    if not may_be_bypassed(PlainBranches, psa.branches):
        return None
    features = branch_features(psa.branches.convs, x)
    return None if features is None else psa.weigh(features)


def branch_features(convs: Sequence[nn.Conv2d], x: Tensor) -> Optional[Tensor]:
    """(B, C, H, W) -> (B, branches, C' / branches, H', W'); None if convolutions must be called."""
    channels = branch_channels(convs)
    if channels is None or x.dim() != 4 or x.shape[1] != channels[0]:
        return None
    weights, options = [conv.weight for conv in convs], conv_options(convs)
    if computed_directly(x, weights, *options):
        return branch_convs(x, weights, *options)
    return library_convs(x, weights, *options)


def _weigh(features: Tensor, attention: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        return features * attention
    if torch.is_grad_enabled():
        return _Weigh.apply(features, attention)
    return features.mul_(attention)


class _Weigh(torch.autograd.Function):
    """``features * attention``, which keeps its output for the backward pass, not the features.

    The normalisation that follows keeps the same tensor, so the features take no memory. The
    attention, a softmax over few values in 0..1, is far from zero.
    """

    @staticmethod
    def forward(ctx, features: Tensor, attention: Tensor) -> Tensor:
        output = features * attention
        ctx.save_for_backward(output, attention)
        return output

    @staticmethod
    def backward(ctx, grad: Tensor):
        output, attention = ctx.saved_tensors
        products = (grad * output).sum((-2, -1), keepdim=True)
        return grad * attention, products / attention
