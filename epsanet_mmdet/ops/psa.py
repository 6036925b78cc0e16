"""Pyramid Squeeze Attention on any device, in fewer and wider operations."""

from typing import Optional

import torch
from torch import Tensor

from ..layers import PSAModule
from ..layers.deployed_psa import DeployedPSA, PlainBranches
from .attention import branch_attention
from .cpu.branch_convs import branch_features
from .parts import Branches, branches_of, squeeze_of
from .support import accelerates, may_be_bypassed


@accelerates(PSAModule)
def psa_forward(psa: PSAModule, x: Tensor) -> Optional[Tensor]:
    """Compute PSA with merged groups or our own kernel, in less memory."""
    branches = branches_of(psa.convs)
    squeeze = None if branches is None else squeeze_of(psa, branches.width)
    if squeeze is None or not _supports(branches, x):
        return None
    features = branch_features(branches, x)
    attention = branch_attention(features.mean((3, 4)), *squeeze).to(features.dtype)
    return _weigh(features, attention[..., None, None]).flatten(1, 2)


@accelerates(DeployedPSA)
def deployed_psa_forward(psa: DeployedPSA, x: Tensor) -> Optional[Tensor]:
    """Compute the branches of a deployed module like those of :class:`PSAModule`."""
    branches = branches_of(psa.branches.convs)
    if branches is None or not may_be_bypassed(PlainBranches, psa.branches):
        return None
    return psa.weigh(branch_features(branches, x)) if _supports(branches, x) else None


def _supports(branches: Branches, x: Tensor) -> bool:
    return x.dim() == 4 and x.shape[1] == branches.in_channels


def _weigh(features: Tensor, attention: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        return features * attention
    if torch.is_grad_enabled():
        return _Weigh.apply(features, attention)
    return features.mul_(attention)


class _Weigh(torch.autograd.Function):
    """``features * attention``, which saves its output for the backward pass, not the features.

    The normalisation after it saves the same tensor, so the features need no memory. The attention
    is far from zero, because it is a softmax over few values between 0 and 1.
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
