"""Maps that are scaled and shifted channel by channel, and their gradients, by our own kernels.

All maps are (B, C, H, W), all that belongs to channels is (B, C), and all is contiguous and in
float32.
"""

from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from . import cpu_kernels


def moments(x: Tensor) -> Tuple[Tensor, Tensor]:
    """Give mean and variance of each channel of each image."""
    mean, variance = x.new_empty(2, *x.shape[:2])
    cpu_kernels.call('moments', [*_rows(x), mean.data_ptr(), variance.data_ptr()])
    return mean, variance


def affine(
    x: Tensor, scale: Tensor, shift: Tensor, add: Optional[Tensor] = None, relu: bool = True
) -> Tensor:
    """Give ``relu(scale * x + shift + add)``."""
    out = cpu_kernels.fresh(x, *x.shape)
    cpu_kernels.call('affine', [*_rows(x), *cpu_kernels.pointers(scale, shift, add, out), relu])
    return out


class AffineGradient(NamedTuple):
    """The gradients of :func:`affine` where scale and shift may depend on x by its moments.

    Attributes:
        x: As given to it.
        scale, shift: As given to it.
        centre: Of x; the closer to its mean, the more precise is :meth:`sums`.
        out: Its result; None if it is to be computed again, which takes that there was no ``add``.
        relu: As given to it.
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
        """Give the sums of ``g`` and of ``g * (x - centre)``: ``g`` is what passed the ReLU."""
        results = self.x.new_empty(2, *self.x.shape[:2])
        self._call('affine_sums', *results, None, None, None, None)
        return tuple(results)

    def gradients(
        self, slope: Tensor, constant: Tensor, with_add: bool
    ) -> Tuple[Tensor, Optional[Tensor]]:
        """Give ``scale * g + slope * (x - centre) + constant`` and, if wanted, ``g``."""
        grad_x = cpu_kernels.fresh(self.x, *self.x.shape)
        grad_add = cpu_kernels.fresh(self.x, *self.x.shape) if with_add else None
        self._call('affine_gradient', None, None, slope, constant, grad_x, grad_add)
        return grad_x, grad_add

    def _call(self, function: str, *results: Optional[Tensor]) -> None:
        given = [self.scale, self.shift, self.centre, self.out, self.grad]
        cpu_kernels.call(
            function, [*_rows(self.x), *cpu_kernels.pointers(*given, *results), self.relu]
        )


def _rows(x: Tensor) -> List[int]:
    batch, channels, height, width = x.shape
    return [x.data_ptr(), batch * channels, height * width, torch.get_num_threads()]
