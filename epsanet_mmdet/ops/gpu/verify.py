"""Comparison of each kernel with torch in float64, before its first use on a GPU.

A compiler or a driver may make a kernel compute something else than on the GPUs it was tested on.
So the first call with a plan, a type and a set of options is preceded by one on a small random map.
"""

import functools
from typing import Callable, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from .plan import SPLIT, TF32

BOUNDS = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}
ROUNDED = {TF32: 2e-3, SPLIT: 1e-4}  # float32, by the precision of products


class VerificationError(RuntimeError):
    """A kernel that computes something else than torch, or that cannot be checked now."""


def verified(case: Callable[..., tuple], check: Callable[..., None]) -> Callable:
    """Decorate a kernel, so that it is checked before its first use on a GPU.

    Args:
        case: Function of the kernel's arguments that returns what the compiled kernel depends on.
        check: Function of the kernel, a device and the values of ``case`` that raises
            :class:`VerificationError` if the kernel is wrong.
    """

    def decorate(kernel: Callable[..., None]) -> Callable[..., None]:
        @functools.cache
        def check_once(device: torch.device, *values) -> None:
            if device.type == 'cuda' and torch.cuda.is_current_stream_capturing():
                raise VerificationError(
                    'its first use is captured as a CUDA graph; call the network once before'
                )
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                check(kernel, device, *values)

        @functools.wraps(kernel)
        def call(x: Tensor, *args, **kwargs) -> None:
            if x.is_cuda:
                check_once(x.device, *case(x, *args, **kwargs))
            kernel(x, *args, **kwargs)

        call.check_once = check_once
        return call

    return decorate


class Values:
    """Reproducible random maps and weights on a device, which leave torch's generators alone."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.device, self.dtype = device, dtype

    def __call__(self, *size: int, dtype: Optional[torch.dtype] = None, scale: float = 1) -> Tensor:
        """Return normally distributed values."""
        values = scale * torch.randn(size, generator=self.generator)
        return values.to(self.device, dtype or self.dtype)

    def unwritten(self, *size: int, dtype: Optional[torch.dtype] = None) -> Tensor:
        """Return NaN, for outputs."""
        return torch.full(size, float('nan'), device=self.device, dtype=dtype or self.dtype)


def bound(dtype: torch.dtype, precision: str, out: Optional[torch.dtype] = None) -> float:
    """Return the greatest difference from float64, relative to the greatest value."""
    own = BOUNDS[dtype]
    if dtype == torch.float32:
        own = ROUNDED.get(precision, own)
    return max(own, BOUNDS[out or dtype])


def check_close(
    name: str, actual: Tensor, expected: Tensor, most: float, scale: Optional[Tensor] = None
) -> None:
    """Compare a result with float64.

    Args:
        name: The kernel, for the message.
        actual: What it computed.
        expected: What it should be.
        most: The greatest relative difference; NaN is none.
        scale: The value to which differences are relative. Default: the greatest expected one.

    Raises:
        VerificationError: If they differ by more.
    """
    scale = expected.abs().max() if scale is None else scale
    difference = ((actual.double() - expected).abs().max() / scale).item()
    if not difference <= most:
        raise VerificationError(
            f'the {name} differs from float64 by {difference:.1e}, more than {most:.0e}, '
            f'on {_name(expected.device)}'
        )


def check_sums(name: str, sums: Tensor, values: Tensor, most: float) -> None:
    """Compare sums over tiles (B, tiles, C) with those of values (B, C, H, W)."""
    scale = values.abs().sum((2, 3)).max()
    check_close(name, sums.double().sum(1), values.sum((2, 3)), most, scale)


def nchw(x: Tensor) -> Tensor:
    """Return a map (B, H, W, C) as (B, C, H, W) in float64."""
    return x.permute(0, 3, 1, 2).double()


def convolve(x: Tensor, weight: Tensor, **options) -> Tensor:
    """Return the convolution of a map (B, H, W, C), as (B, C, H, W) in float64."""
    return F.conv2d(nchw(x), weight.double(), **options)


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type
