"""Ridge regression from sums over the data, so that its memory does not grow with the data."""

from typing import Callable, Iterable, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)

# x (n, features), y (n, targets), and whether the ridge is chosen on them; first some others
Samples = Iterable[Tuple[Tensor, Tensor, bool]]


class Fit(NamedTuple):
    """Weights (targets, features) and intercept (targets,) of a linear map, as float64."""

    weight: Tensor
    intercept: Tensor


class Centred(NamedTuple):
    """Sums about the means: x x^T, x y^T, and y^2 of each target."""

    xx: Tensor
    xy: Tensor
    yy: Tensor

    def solve(self, prior: Tensor, ridge: float) -> Tensor:
        """Minimise the squared error + ridge x energy of the features x |weight - prior|^2.

        Args:
            prior: (targets, features) to which the ridge draws.
            ridge: Relative to each feature's energy.

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
        """Sum the targets' squared errors, each relative to the target's variance."""
        left = self.yy - 2 * (weight.T * self.xy).sum(0) + ((weight @ self.xx) * weight).sum(1)
        return float((left / self.yy.clamp(min=1e-30)).clamp(max=10).sum())


class NormalEquations:
    """Sums over samples from which a ridge regression is solved in closed form.

    Holds features x (features + targets) numbers, however many samples are added. Products are
    computed in the samples' own precision about the first samples' mean, and summed as float64.
    """

    SUMS = ('xx', 'xy', 'yy', 'x_sum', 'y_sum')

    def __init__(self, like: Optional['NormalEquations'] = None) -> None:
        """Start empty; ``like`` gives the shift, so that the two can be merged."""
        self.count = 0
        if like is not None:
            self.x_shift, self.y_shift = like.x_shift, like.y_shift
            self._clear()

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add samples: x (n, features), y (n, targets), n of at least 1."""
        if not hasattr(self, 'xx'):
            self.x_shift, self.y_shift = x.mean(0), y.mean(0)
            self._clear()
        x, y = x - self.x_shift, y - self.y_shift
        self.count += len(x)
        self.xx += x.T @ x
        self.xy += x.T @ y
        self.yy += (y**2).sum(0)
        self.x_sum += x.sum(0)
        self.y_sum += y.sum(0)

    def _clear(self) -> None:
        features, targets = len(self.x_shift), len(self.y_shift)
        sizes = ((features, features), (features, targets), (targets,), (features,), (targets,))
        for name, size in zip(self.SUMS, sizes):
            setattr(self, name, self.x_shift.new_zeros(size, dtype=torch.float64))

    def merge(self, other: 'NormalEquations') -> None:
        """Add the samples of another that was made ``like`` this one."""
        self.count += other.count
        for name in self.SUMS:
            getattr(self, name).add_(getattr(other, name))

    def centred(self) -> Centred:
        """Give the sums about the means."""
        n = max(self.count, 1)
        return Centred(
            torch.addr(self.xx, self.x_sum, self.x_sum, alpha=-1 / n),
            torch.addr(self.xy, self.x_sum, self.y_sum, alpha=-1 / n),
            self.yy - self.y_sum**2 / n,
        )

    def intercept(self, weight: Tensor) -> Tensor:
        """Give the intercept (targets,) that goes with weights (targets, features)."""
        n = max(self.count, 1)
        x_mean, y_mean = self.x_sum / n + self.x_shift, self.y_sum / n + self.y_shift
        return y_mean - weight @ x_mean


def regress(
    samples: Callable[[], Samples], prior: Tensor, ridge: float = RIDGES[2], choose: bool = True
) -> Tuple[Fit, float]:
    """Fit a linear map to samples that are given in parts.

    Args:
        samples: Gives the samples, in as many parts as one likes.
        prior: (targets, features) to which the ridge draws.
        ridge: One of :data:`RIDGES`.
        choose: Whether to look for a better ridge from that one on.

    Returns:
        The fit to all samples, and the ridge.
    """
    sums, check = accumulate(samples())
    if choose and check.count:
        ridge = choose_ridge(sums.centred(), check.centred(), prior, ridge)
    sums.merge(check)
    weight = sums.centred().solve(prior, ridge)
    return Fit(weight, sums.intercept(weight)), ridge


def accumulate(samples: Samples) -> Tuple[NormalEquations, NormalEquations]:
    """Sum up the samples to fit on, and those to choose the ridge on."""
    fit, check = NormalEquations(), None
    for x, y, to_check in samples:
        if to_check and check is None:
            check = NormalEquations(like=fit)
        (check if to_check else fit).add(x, y)
    return fit, check or NormalEquations(like=fit)


def choose_ridge(fit: Centred, check: Centred, prior: Tensor, start: float) -> float:
    """Choose the ridge whose weights err least on samples that they were not fitted on.

    Goes along :data:`RIDGES` from ``start``, as long as the error falls.
    """
    errors = {}

    def error(i: int) -> float:
        if i not in errors:
            inside = 0 <= i < len(RIDGES)
            errors[i] = check.error(fit.solve(prior, RIDGES[i])) if inside else float('inf')
        return errors[i]

    i = RIDGES.index(start)
    while True:
        best = min((i, i + 1, i - 1), key=error)
        if best == i:
            return RIDGES[i]
        i = best


def patches(x: Tensor, at: Sequence[Tensor], kernel_size: int, stride: int) -> Tensor:
    """Cut out what a padded convolution sees for some of its outputs.

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
    """Draw a share of a map's (B, C, H, W) positions: image, row and column, each (n,)."""
    batch, _, height, width = shape
    total = batch * height * width
    drawn = torch.randperm(total, generator=generator)[: max(1, round(share * total))].sort()[0]
    return drawn // (height * width), drawn // width % height, drawn % width
