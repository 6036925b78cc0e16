"""Ridge regression from sums over the data, so that its memory does not grow with the data."""

from typing import Iterable, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)

# x (n, features), y (n, targets), and True for samples that the ridge is chosen on
Samples = Iterable[Tuple[Tensor, Tensor, bool]]


class Fit(NamedTuple):
    """Weights (targets, features) and intercept (targets,) of a linear map, float64; its ridge."""

    weight: Tensor
    intercept: Tensor
    ridge: float


class Sums:
    """Sums over samples, from which a ridge regression is solved in closed form.

    Holds features x (features + targets) numbers for any number of samples: count, means, and
    products about the means. Products of added samples are computed in their own precision about
    their own mean, and summed in float64 (Chan et al., 1979).
    """

    def __init__(self, targets: int, features: int) -> None:
        sizes = ((features,), (targets,), (features, features), (features, targets), (targets,))
        self.count = 0
        self.x_mean, self.y_mean, self.xx, self.xy, self.yy = (
            torch.zeros(size, dtype=torch.float64) for size in sizes
        )

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add samples: x (n, features), y (n, targets), n of at least 1."""
        x_mean, y_mean = x.mean(0), y.mean(0)
        x, y = x - x_mean, y - y_mean
        self._merge(len(x), x_mean, y_mean, x.T @ x, x.T @ y, (y**2).sum(0))

    def merge(self, other: 'Sums') -> None:
        """Add the samples of another."""
        if other.count:
            self._merge(other.count, other.x_mean, other.y_mean, other.xx, other.xy, other.yy)

    def _merge(
        self, count: int, x_mean: Tensor, y_mean: Tensor, xx: Tensor, xy: Tensor, yy: Tensor
    ) -> None:
        share = count / (self.count + count)
        dx, dy, weight = x_mean - self.x_mean, y_mean - self.y_mean, share * self.count
        self.xx.add_(xx).addr_(dx, dx, alpha=weight)
        self.xy.add_(xy).addr_(dx, dy, alpha=weight)
        self.yy += yy + weight * dy**2
        self.x_mean += share * dx
        self.y_mean += share * dy
        self.count += count

    def solve(self, prior: Tensor, ridge: float) -> Tensor:
        """Minimise the squared error + ridge x energy of the features x |weight - prior|^2.

        Args:
            prior: (targets, features) that the ridge penalty pulls to.
            ridge: Relative to the energy of each feature.

        Returns:
            Weights (targets, features).
        """
        energy = self.xx.diagonal()
        floor = 1e-6 * energy.mean() + torch.finfo(torch.float64).tiny ** 0.5
        damped = self.xx.clone()
        damped.diagonal().add_(ridge * energy + floor)
        prior = prior.to(self.xx)
        factor = torch.linalg.cholesky(damped)
        return prior + torch.cholesky_solve(self.xy - self.xx @ prior.T, factor).T

    def error(self, weight: Tensor) -> float:
        """Return the sum of the squared errors, each relative to the variance of its target."""
        left = self.yy - 2 * (weight.T * self.xy).sum(0) + ((weight @ self.xx) * weight).sum(1)
        return float((left / self.yy.clamp(min=1e-30)).clamp(max=10).sum())


def regress(samples: Samples, prior: Tensor, ridge: Optional[float] = None) -> Fit:
    """Fit a linear map.

    Args:
        samples: In parts of any size.
        prior: (targets, features) that the ridge penalty pulls to.
        ridge: See :meth:`Sums.solve`. By default, the one of :data:`RIDGES` with the least error on
            the samples to choose it on, when fitted on the others.

    Returns:
        The fit to all samples.
    """
    sums, check = Sums(*prior.shape), Sums(*prior.shape)
    for x, y, to_check in samples:
        (check if to_check else sums).add(x, y)
    if ridge is None:
        ridge = min(RIDGES, key=lambda ridge: check.error(sums.solve(prior, ridge)))
    sums.merge(check)
    weight = sums.solve(prior, ridge)
    return Fit(weight, sums.y_mean - weight @ sums.x_mean, ridge)


def patches(x: Tensor, at: Sequence[Tensor], kernel_size: int = 1, stride: int = 1) -> Tensor:
    """Return what a padded convolution sees at some of its output positions.

    Args:
        x: (B, C, H, W).
        at: Image, row and column of the outputs, each (n,).
        kernel_size: Odd.
        stride: Of the convolution.

    Returns:
        (n, C * kernel_size^2), in the order of a convolution's weight.
    """
    windows = F.pad(x, [kernel_size // 2] * 4)
    windows = windows.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride)
    image, row, column = at
    return windows[image, :, row, column].flatten(1)


def sample_positions(
    shape: Sequence[int], share: float, generator: torch.Generator
) -> Tuple[Tensor, Tensor, Tensor]:
    """Draw a share of the positions of a map (B, C, H, W): image, row and column, each (n,)."""
    batch, _, height, width = shape
    total = batch * height * width
    drawn = torch.randperm(total, generator=generator)[: max(1, round(share * total))].sort()[0]
    return drawn // (height * width), drawn // width % height, drawn % width
