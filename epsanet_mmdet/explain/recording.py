"""Attention recorded in a forward pass of a network."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, List, Optional, Tuple

import torch
from torch import Tensor, nn

from ..layers import PSAModule, SelectiveDepthAttention2d
from .attention import attention_of, has_attention, is_relative


@dataclass
class Scales:
    """Weights of the scales of a PSA module for one image: means over the channels.

    Args:
        layer: Name of the module in the network.
        kernel_sizes: Kernel size of each branch.
        image: Weight of each branch, (branches,).
        objects: The weights that the module computes if it pools its features over the box of an
            object instead of the whole image, (objects, branches).
    """

    layer: str
    kernel_sizes: Tuple[int, ...]
    image: Tensor
    objects: Tensor


@dataclass
class Gate:
    """Weights of another attention layer for one image, see :func:`attention_of`.

    Selective depth attention has a gate for each depth, with the name of its last convolution.

    Args:
        layer: Name of the layer in the network.
        kind: Name of its class.
        relative: Whether the weights are relative to equal weights, instead of from 0 to 1.
        channels: Mean weight of each channel, (C,); None if it is the same for all.
        positions: Mean weight of each position, (H, W); None if it is the same for all.
    """

    layer: str
    kind: str
    relative: bool
    channels: Optional[Tensor]
    positions: Optional[Tensor]


@dataclass
class Record:
    """What the layers computed, in the order of their calls."""

    scales: List[Scales]
    gates: List[Gate]


@contextmanager
def recorded(network: nn.Module, boxes: Tensor, size: Tuple[int, int]) -> Iterator[Record]:
    """Record the attention of a network within a ``with`` block.

    The block passes one image, a batch of one, through the network.

    Args:
        network: Any network with layers of this project.
        boxes: Left, top, right and bottom of the objects in pixels of the input, (objects, 4).
        size: Height and width of the input.

    Yields:
        The record, which is complete at the end of the block.
    """
    record = Record([], [])

    def add_scales(name: str):
        def hook(psa: PSAModule, inputs: Tuple[Tensor], output: Tensor) -> None:
            record.scales.append(scales_of(psa, name, inputs[0], boxes, size))

        return hook

    def add_gate(name: str):
        def hook(layer: nn.Module, inputs: Tuple[Tensor], output: Tensor) -> None:
            weights = attention_of(layer, inputs[0], output)
            record.gates.append(gate_of(layer, name, weights))

        return hook

    def add_depths(name: str):
        def hook(sda: SelectiveDepthAttention2d, inputs: Tuple[Tensor], output: Tensor) -> None:
            for i, weights in enumerate(sda.attention(*inputs).unbind(dim=1)):
                record.gates.append(gate_of(sda, f'{name}.fcs.{i}', weights))

        return hook

    handles = []
    try:
        for name, module in network.named_modules():
            if isinstance(module, PSAModule) and module.attention_type == 'softmax':
                handles.append(module.register_forward_hook(add_scales(name)))
            elif isinstance(module, SelectiveDepthAttention2d):
                handles.append(module.register_forward_hook(add_depths(name)))
            elif has_attention(module):
                handles.append(module.register_forward_hook(add_gate(name)))
        with torch.no_grad():
            yield record
    finally:
        for handle in handles:
            handle.remove()


def scales_of(psa: PSAModule, name: str, x: Tensor, boxes: Tensor, size: Tuple[int, int]) -> Scales:
    """Return the weights of the scales of a module.

    Args:
        psa: The module.
        name: Its name.
        x: Its input, (1, C, H, W).
        boxes: See :func:`recorded`.
        size: See :func:`recorded`.
    """
    features = psa.features(x)

    def weights(part: Tensor) -> Tensor:
        # The output has the branches in reversed order.
        return psa.attention(part).mean(dim=(0, 2, 3, 4)).flip(0).float().cpu()

    regions = (features[..., rows, columns] for rows, columns in _cells(boxes, size, features))
    objects = [weights(region) for region in regions]
    return Scales(
        name,
        tuple(conv.kernel_size[0] for conv in psa.convs[::-1]),
        weights(features),
        torch.stack(objects) if objects else features.new_zeros(0, psa.branches).cpu(),
    )


def gate_of(layer: nn.Module, name: str, weights: Tensor) -> Gate:
    """Return the weights of a layer for one image, reduced to its channels and its positions."""
    channels = weights.mean(dim=(0, 2, 3)).float().cpu() if weights.shape[1] > 1 else None
    positions = weights.mean(dim=(0, 1)).float().cpu() if weights[0, 0].numel() > 1 else None
    return Gate(name, type(layer).__name__, is_relative(layer), channels, positions)


def _cells(boxes: Tensor, size: Tuple[int, int], features: Tensor) -> Iterator[Tuple[slice, slice]]:
    """Yield the rows and columns of the features that each box covers, at least one of both."""
    cells = features.shape[-2:]
    for left, top, right, bottom in boxes.tolist():
        yield _span(top, bottom, size[0], cells[0]), _span(left, right, size[1], cells[1])


def _span(start: float, end: float, pixels: int, cells: int) -> slice:
    stride = pixels / cells
    first = min(max(int(start / stride), 0), cells - 1)
    return slice(first, max(first + 1, min(cells, -int(-end // stride))))
