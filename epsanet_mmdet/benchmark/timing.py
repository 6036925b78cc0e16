"""Time several calls side by side."""

import statistics
import time
from typing import Callable, List, NamedTuple, Sequence

import torch


class Timing(NamedTuple):
    """Times of one call, one per round.

    Attributes:
        seconds: Time in each round.
        ratios: Time relative to the baseline in the same round.
    """

    seconds: Sequence[float]
    ratios: Sequence[float]

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
    warm_up: int = 1,
) -> List[Timing]:
    """Time calls in rounds that run each call once, so that a change of speed affects all.

    Each round starts with a different call, so that none always follows the same one.

    Args:
        calls: The first is the baseline.
        repeats: Number of rounds that count.
        device: Synchronised before and after each call.
        progress: Called with a line about each round.
        warm_up: Number of rounds before those that count.
    """
    seconds: List[List[float]] = [[] for _ in calls]
    for round_ in range(-warm_up, repeats):
        progress(f'round {round_ + 1} of {repeats}' if round_ >= 0 else 'warming up')
        for k in range(len(calls)):
            i = (k + round_) % len(calls)
            elapsed = _seconds(calls[i], device)
            if round_ >= 0:
                seconds[i].append(elapsed)
    return [Timing(own, [a / b for a, b in zip(own, seconds[0])]) for own in seconds]


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
