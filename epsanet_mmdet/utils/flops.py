"""Parameters and FLOPs, counted like the published tables."""

from typing import NamedTuple, Optional, Tuple

import torch
from torch import nn

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear, *TRANSPOSED)
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


class Flops(NamedTuple):
    """FLOPs of one forward pass by type of layer.

    Attributes:
        weighted: Multiply-accumulates of convolutions and linear layers, and their biases.
        norm: 2 per element of a normalisation layer.
        relu: 1 per element of a ReLU.
        pool: 1 per input element of a pooling layer.
    """

    weighted: int = 0
    norm: int = 0
    relu: int = 0
    pool: int = 0

    @property
    def classification(self) -> int:
        """Total as in EPSANet's ImageNet table."""
        return self.weighted + self.norm

    @property
    def detection(self) -> int:
        """Total as counted by MMCV 1.x and in the COCO tables."""
        return sum(self)


def count_parameters(module: nn.Module, trainable_only: bool = True) -> int:
    """Return the number of parameters; the published detection tables count trainable ones."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable_only)


@torch.no_grad()
def count_flops(module: nn.Module, input_shape: Tuple[int, ...] = (3, 224, 224)) -> Flops:
    """Count the FLOPs of the modules in one forward pass.

    Args:
        module: Module to call with one image, in evaluation mode.
        input_shape: Shape (C, H, W) of the image.
    """
    totals = dict.fromkeys(Flops._fields, 0)

    def add(layer: nn.Module, inputs: Tuple, output: torch.Tensor) -> None:
        kind = _kind(layer)
        if kind is not None:
            totals[kind] += _layer_flops(layer, kind, inputs[0], output)

    hooks = [layer.register_forward_hook(add) for layer in module.modules()]
    was_training = module.training
    module.eval()
    try:
        module(next(module.parameters()).new_zeros(1, *input_shape))
    finally:
        for hook in hooks:
            hook.remove()
        module.train(was_training)
    return Flops(**totals)


def _kind(layer: nn.Module) -> Optional[str]:
    for kind, types in zip(Flops._fields, (WEIGHTED, NORMS, nn.ReLU, POOLS)):
        if isinstance(layer, types):
            return kind
    return None


def _layer_flops(layer: nn.Module, kind: str, x: torch.Tensor, y: torch.Tensor) -> int:
    if kind != 'weighted':
        return x.numel() * (2 if kind == 'norm' else 1)
    return multiplications(layer, x, y) + (y.numel() if layer.bias is not None else 0)


def multiplications(layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> int:
    """Return the multiply-accumulates of a :data:`WEIGHTED` layer that computes y from x."""
    if isinstance(layer, TRANSPOSED):
        positions = x.numel() // layer.in_channels
    else:
        positions = y.numel() // layer.weight.shape[0]
    return positions * layer.weight.numel()
