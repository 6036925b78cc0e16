"""Re-estimating the statistics of batch norms without changing the network's function."""

from typing import Dict, Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def reestimate_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set every batch norm's statistics to those of its input over some images.

    Scale and shift take up the difference, so the model in eval mode computes what it did
    before, and in train mode, where a norm uses its batch's statistics, nearly the same.

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
    """Give a batch norm other statistics; in eval mode it computes the same as before."""
    old_scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - old_scale * norm.running_mean.double()
    norm.weight.data.copy_(old_scale * (variance + norm.eps).sqrt())
    norm.bias.data.copy_(shift + old_scale * mean)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
