"""Scale and shift maps channel by channel with our own kernels, and compute the gradients.

Maps are (B, C, H, W) and values of channels (B, C), all contiguous and float32.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from . import kernels


def moments(x: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the mean and the variance of each channel of each image."""
    rows = x.shape[:2]
    mean, variance = x.new_empty(2, *rows)
    written = (kernels.address(t, *rows) for t in (mean, variance))
    kernels.call('moments', [*_rows(x), *written])
    return mean, variance


def affine(
    x: Tensor, scale: Tensor, shift: Tensor, add: Optional[Tensor] = None, relu: bool = True
) -> Tensor:
    """Return ``relu(scale * x + shift + add)``."""
    out = kernels.fresh(x, *x.shape)
    given = (kernels.address(t, *x.shape[:2]) for t in (scale, shift))
    maps = (kernels.address(t, *x.shape) for t in (add, out))
    kernels.call('affine', [*_rows(x), *given, *maps, relu])
    return out


class AffineGradient(NamedTuple):
    """Gradients of :func:`affine`, whose scale and shift may depend on the moments of x.

    Attributes:
        x: Argument of :func:`affine`.
        scale: Argument of :func:`affine`.
        shift: Argument of :func:`affine`.
        centre: Centre of x; the closer to its mean, the more precise is :meth:`sums`.
        out: Result of :func:`affine`. If it had no ``add``, None recomputes the result.
        relu: Argument of :func:`affine`.
        grad: Gradient of the result.
    """

    x: Tensor
    scale: Tensor
    shift: Tensor
    centre: Tensor
    out: Optional[Tensor]
    relu: bool
    grad: Tensor

    def sums(self) -> Tuple[Tensor, Tensor]:
        """Return the sums of ``g`` and of ``g * (x - centre)``; ``g`` passed the ReLU."""
        sums, products = self.x.new_empty(2, *self.x.shape[:2])
        self._call('affine_sums', channels=[sums, products, None, None], maps=[None, None])
        return sums, products

    def gradients(
        self, slope: Tensor, constant: Tensor, with_add: bool
    ) -> Tuple[Tensor, Optional[Tensor]]:
        """Return ``scale * g + slope * (x - centre) + constant`` and, with ``with_add``, ``g``."""
        grad_x = kernels.fresh(self.x, *self.x.shape)
        grad_add = kernels.fresh(self.x, *self.x.shape) if with_add else None
        channels = [None, None, slope, constant]
        self._call('affine_gradient', channels=channels, maps=[grad_x, grad_add])
        return grad_x, grad_add

    def _call(
        self,
        function: str,
        channels: Sequence[Optional[Tensor]],
        maps: Sequence[Optional[Tensor]],
    ) -> None:
        rows, shape = self.x.shape[:2], self.x.shape
        numbers = [
            *_rows(self.x),
            *(kernels.address(t, *rows) for t in (self.scale, self.shift, self.centre)),
            *(kernels.address(t, *shape) for t in (self.out, self.grad)),
            *(kernels.address(t, *rows) for t in channels),
            *(kernels.address(t, *shape) for t in maps),
            self.relu,
        ]
        kernels.call(function, numbers)


def _rows(x: Tensor) -> List[int]:
    batch, channels, height, width = x.shape
    at = kernels.address(x, batch, channels, height, width)
    return [at, batch * channels, height * width, torch.get_num_threads()]
