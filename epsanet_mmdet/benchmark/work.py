"""The roofline: the work of a pass, however it is computed, and the peak rates of a machine."""

from typing import Callable, NamedTuple, Tuple

import torch
from torch import Tensor, nn

from ..utils.flops import WEIGHTED, multiplications
from .timing import time_interleaved


class Work(NamedTuple):
    """Operations of convolutions and linear layers, and the memory traffic they need at least.

    Attributes:
        flops: Floating point operations, two per multiply-accumulate.
        bytes: Size of each layer's input, weight and output, counted once.
    """

    flops: float
    bytes: float


def count_work(network: nn.Module, forward: Callable[[], object], value_bytes: int) -> Work:
    """Count the work of a pass through a network.

    Each weight and each input with ``requires_grad`` adds the work of its layer once more.

    Args:
        network: Network of modules, which are counted by hooks.
        forward: Its forward pass, with gradients enabled if a backward pass counts too.
        value_bytes: Bytes per value.
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


def measure_peaks(device: torch.device, dtype: torch.dtype, rounds: int = 7) -> Work:
    """Measure the peak rates of a machine.

    Args:
        device: Device to measure.
        dtype: Type of the values.
        rounds: Number of rounds; the fastest counts.

    Returns:
        Operations per second of the product of two large matrices, and bytes per second that a
        copy larger than all caches reads and writes.
    """
    side, megabytes = (8192, 1024) if device.type == 'cuda' else (2048, 256)
    # Its own generator works even where a failed CUDA graph has left the default one unusable.
    generator = torch.Generator(device).manual_seed(0)
    left, right = torch.rand(2, side, side, device=device, dtype=dtype, generator=generator)
    product = torch.empty_like(left)
    source, target = torch.zeros(2, megabytes << 18, device=device)
    calls = [lambda: torch.mm(left, right, out=product), lambda: target.copy_(source)]
    multiplied, copied = (min(t.seconds) for t in time_interleaved(calls, rounds, device))
    return Work(2 * side**3 / multiplied, 2 * source.nbytes / copied)
