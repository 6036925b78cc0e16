"""What is known of a block's channels without an image, from its norms alone.

A batch norm's output has mean beta and deviation gamma over the data it was trained on. Taking
it as Gaussian gives the moments after the ReLU.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Normal

SMOOTHNESS = 0.5  # assumed correlation between the positions under a 3x3 kernel


class Moments(NamedTuple):
    """Mean, variance and share of positive values of each channel after a ReLU, each (C,)."""

    mean: Tensor
    variance: Tensor
    active: Tensor


def relu_moments(norm: nn.BatchNorm2d) -> Moments:
    """Give the moments of ``relu(norm(x))``, if ``norm(x)`` is Gaussian."""
    beta, gamma = norm.bias.double(), norm.weight.double().abs().clamp(min=1e-6)
    normal = Normal(torch.zeros_like(beta), torch.ones_like(beta))
    ratio = beta / gamma
    density, active = normal.log_prob(ratio).exp(), normal.cdf(ratio)
    mean = gamma * density + beta * active
    square = (beta**2 + gamma**2) * active + beta * gamma * density
    return Moments(mean, (square - mean**2).clamp(min=0), active)


def channel_energy(weight: Tensor, variance: Tensor) -> Tensor:
    """Give how much variance each input channel brings to each output of a convolution.

    Args:
        weight: (outputs, inputs, k, k).
        variance: Of each input channel.

    Returns:
        (outputs, inputs), as if channels were independent and neighbouring positions
        correlated by :data:`SMOOTHNESS`.
    """
    weight = weight.double()
    together = weight.sum((2, 3)) ** 2
    apart = (weight**2).sum((2, 3))
    return (SMOOTHNESS * together + (1 - SMOOTHNESS) * apart) * variance


def relative_energy(energy: Tensor) -> Tensor:
    """Divide energies (outputs, inputs) by each output's sum."""
    return energy / energy.sum(1, keepdim=True).clamp(min=1e-30)


def output_importance(norm2: nn.BatchNorm2d, conv3: nn.Conv2d, norm3: nn.BatchNorm2d) -> Tensor:
    """Give how strongly a relative error of each 3x3 output reaches the block's output."""
    scale = norm3.weight.double() / (norm3.running_var.double() + norm3.eps).sqrt()
    reach = ((scale[:, None] * conv3.weight.double().flatten(1)) ** 2).sum(0)
    importance = norm2.weight.double() ** 2 * relu_moments(norm2).active * reach
    if not importance.any():
        return torch.ones_like(importance)
    return importance + 1e-3 * importance.mean()
