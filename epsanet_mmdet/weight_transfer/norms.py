"""Channel statistics and batch norms: estimates without images, and re-estimation on images."""

from typing import Dict, Iterable, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Normal

SMOOTHNESS = 0.5  # assumed correlation between the positions under a 3x3 kernel


class Moments(NamedTuple):
    """Mean, variance and fraction of positive values of each channel after a ReLU, each (C,)."""

    mean: Tensor
    variance: Tensor
    active: Tensor


def relu_moments(norm: nn.BatchNorm2d) -> Moments:
    """Return the moments of ``relu(norm(x))``, assuming that ``norm(x)`` is Gaussian.

    Over its training data, the output of a batch norm has mean beta and standard deviation gamma.
    """
    beta, gamma = norm.bias.double(), norm.weight.double().abs().clamp(min=1e-6)
    normal = Normal(torch.zeros_like(beta), torch.ones_like(beta))
    ratio = beta / gamma
    density, active = normal.log_prob(ratio).exp(), normal.cdf(ratio)
    mean = gamma * density + beta * active
    square = (beta**2 + gamma**2) * active + beta * gamma * density
    return Moments(mean, (square - mean**2).clamp(min=0), active)


def channel_energy(weight: Tensor, variance: Tensor) -> Tensor:
    """Return how much variance each input channel contributes to each output of a convolution.

    Args:
        weight: (outputs, inputs, k, k).
        variance: Of each input channel.

    Returns:
        (outputs, inputs), assuming independent channels, and a correlation of
        :data:`SMOOTHNESS` between neighbouring positions.
    """
    weight = weight.double()
    together = weight.sum((2, 3)) ** 2
    apart = (weight**2).sum((2, 3))
    return (SMOOTHNESS * together + (1 - SMOOTHNESS) * apart) * variance


def weighted_energy(
    energy: Tensor, norm2: nn.BatchNorm2d, conv3: nn.Conv2d, norm3: nn.BatchNorm2d
) -> Tensor:
    """Normalise energies (outputs, inputs) to a sum for each output, its importance.

    The importance is how strongly a relative error of an output of the 3x3 convolution affects the
    output of the block.
    """
    scale = norm3.weight.double() / (norm3.running_var.double() + norm3.eps).sqrt()
    reach = ((scale[:, None] * conv3.weight.double().flatten(1)) ** 2).sum(0)
    importance = norm2.weight.double() ** 2 * relu_moments(norm2).active * reach
    if importance.any():
        importance = importance + 1e-3 * importance.mean()
    else:
        importance = torch.ones_like(importance)
    return energy / energy.sum(1, keepdim=True).clamp(min=1e-30) * importance[:, None]


@torch.no_grad()
def reestimate_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the statistics of every batch norm to those of its input over some images.

    Scale and shift compensate, so the model in eval mode computes the same as before, and in train
    mode, where a norm uses the statistics of its batch, nearly the same.

    Args:
        model: In eval mode.
        batches: Batches of images (b, 3, h, w).
    """
    sums: Dict[nn.Module, list] = {}

    def add(norm: nn.Module, inputs: tuple) -> None:
        x = inputs[0].double()
        total = sums.setdefault(norm, [0, 0.0, 0.0])
        total[0] += x.numel() // x.shape[1]
        total[1] = total[1] + x.sum((0, 2, 3))
        total[2] = total[2] + (x**2).sum((0, 2, 3))

    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(add) for norm in norms]
    try:
        for batch in batches:
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    for norm, (count, total, squares) in sums.items():
        mean = total / count
        set_statistics(norm, mean, (squares / count - mean**2).clamp(min=0))


def set_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Replace the statistics of a batch norm without changing its function in eval mode."""
    old_scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - old_scale * norm.running_mean.double()
    norm.weight.data.copy_(old_scale * (variance + norm.eps).sqrt())
    norm.bias.data.copy_(shift + old_scale * mean)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
