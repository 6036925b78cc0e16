"""The work of a pass, whatever computes it, and the most of it that a machine does in a second."""

from typing import Callable, NamedTuple, Tuple

import torch
from torch import Tensor, nn

from ..utils.flops import WEIGHTED, multiplications
from .timing import time_interleaved


class Work(NamedTuple):
    """What convolutions and linear layers compute, and move to and from memory at the least.

    Attributes:
        flops: Floating point operations, two a multiply-accumulate.
        bytes: Of each layer's input, weight and output, once.
    """

    flops: float
    bytes: float


def count_work(network: nn.Module, forward: Callable[[], object], value_bytes: int) -> Work:
    """Count the work of a pass over a network.

    A layer whose weight learns, or whose input wants a gradient, does as much again for it.

    Args:
        network: Of modules that hooks can watch.
        forward: Its forward pass; with gradients where a backward pass is to count.
        value_bytes: Of a number.
    """
    flops, values = 0, 0

    def add(layer: nn.Module, inputs: Tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal flops, values
        x, weight = inputs[0], layer.weight
        times = 1
        if torch.is_grad_enabled():
            times += weight.requires_grad + x.requires_grad
        flops += 2 * times * multiplications(layer, x, output)
        values += times * (x.numel() + weight.numel() + output.numel())

    layers = [layer for layer in network.modules() if isinstance(layer, WEIGHTED)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    return Work(flops, values * value_bytes)


def higher(first: Work, second: Work) -> Work:
    """Give the more of each."""
    return Work(*map(max, first, second))


def measure_ceilings(device: torch.device, dtype: torch.dtype, rounds: int = 7) -> Work:
    """Measure the work that a machine does in a second, as far as anything gets.

    Args:
        device: To measure.
        dtype: Of the numbers.
        rounds: Of which the fastest counts.

    Returns:
        Operations of the product of two large matrices, and bytes that a copy beyond all caches
        reads and writes, each in a second.
    """
    side, megabytes = (8192, 1024) if device.type == 'cuda' else (2048, 256)
    left, right, product = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(3))
    source, target = torch.zeros(2, megabytes << 18, device=device)
    calls = [lambda: torch.mm(left, right, out=product), lambda: target.copy_(source)]
    multiplied, copied = (min(t.seconds) for t in time_interleaved(calls, rounds, device))
    return Work(2 * side**3 / multiplied, 2 * source.nbytes / copied)
