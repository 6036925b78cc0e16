"""Time several calls side by side."""

import statistics
import time
from typing import Callable, List, NamedTuple, Optional, Sequence

import torch

# Calls in which a GPU's kernels are compiled and selected, and its memory is allocated.
WARM_UP = 3


class Timing(NamedTuple):
    """Times of one call, one per round.

    Attributes:
        seconds: Time in each round.
        ratios: Time relative to the baseline in the same round.
    """

    seconds: Sequence[float]
    ratios: Sequence[float]

    def relative_to(self, base: 'Timing') -> 'Timing':
        """Return the same times with the ratios to another call of the same rounds."""
        return Timing(self.seconds, [a / b for a, b in zip(self.seconds, base.seconds)])

    @property
    def median(self) -> float:
        """Median time in seconds."""
        return statistics.median(self.seconds)

    @property
    def ratio(self) -> float:
        """Median of the ratios to the baseline."""
        return statistics.median(self.ratios)

    @property
    def relative_iqr(self) -> float:
        """Interquartile range of the times relative to their median."""
        return _interquartile_range(self.seconds) / self.median

    @property
    def ratio_iqr(self) -> float:
        """Interquartile range of the ratios."""
        return _interquartile_range(self.ratios)


def time_interleaved(
    calls: Sequence[Callable[[], object]],
    repeats: int,
    device: torch.device,
    progress: Callable[[str], None] = lambda line: None,
    warm_up: Optional[int] = None,
) -> List[Timing]:
    """Time calls in rounds that run each call once, so that a change of speed affects all.

    Each round starts with a different call, so that none always follows the same one.

    Args:
        calls: The first is the baseline.
        repeats: Number of rounds that count.
        device: Synchronised before and after each call.
        progress: Called with a line about each round.
        warm_up: Number of rounds before those that count; by default 1, on GPUs :data:`WARM_UP`.
    """
    if warm_up is None:
        warm_up = WARM_UP if device.type == 'cuda' else 1
    seconds: List[List[float]] = [[] for _ in calls]
    for round_ in range(-warm_up, repeats):
        progress(f'round {round_ + 1} of {repeats}' if round_ >= 0 else 'warming up')
        for k in range(len(calls)):
            i = (k + round_) % len(calls)
            elapsed = _seconds(calls[i], device)
            if round_ >= 0:
                seconds[i].append(elapsed)
    timings = [Timing(own, []) for own in seconds]
    return [timing.relative_to(timings[0]) for timing in timings]


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    _synchronize(device)
    start = time.perf_counter()
    call()
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def _interquartile_range(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4, method='inclusive')
    return third - first
