"""Means over training seeds, and how far other seeds would move them."""

import math
import statistics
from typing import Any, Dict, Optional, Sequence

from scipy.special import stdtrit

CONFIDENCE = 0.95


def spread(values: Sequence[Optional[float]]) -> Optional[Dict[str, Any]]:
    """Return mean and sample standard deviation of a metric over seeds.

    Args:
        values: The metric of each seed; None where it is undefined.

    Returns:
        ``mean``, ``deviation`` (None for a single seed) and ``values``, or None if the metric is
        undefined for a seed, or there is no seed.
    """
    if not values or None in values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return dict(mean=statistics.mean(values), deviation=deviation, values=list(values))


def mean_interval(values: Sequence[Optional[float]]) -> Optional[Dict[str, Any]]:
    """Return the mean of a metric over seeds with its 95 % confidence interval.

    The interval is Student's, which takes the values as normally distributed.

    Args:
        values: See :func:`spread`.

    Returns:
        ``mean``, ``low`` and ``high`` (None for a single seed) and ``values``, or None as
        :func:`spread`.
    """
    known = spread(values)
    if known is None:
        return None
    mean, deviation, values = known['mean'], known['deviation'], known['values']
    if deviation is None:
        return dict(mean=mean, low=None, high=None, values=values)
    quantile = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    margin = quantile * deviation / math.sqrt(len(values))
    return dict(mean=mean, low=mean - margin, high=mean + margin, values=values)


def paired_difference(
    own: Dict[int, float], baseline: Dict[int, float]
) -> Optional[Dict[str, Any]]:
    """Return the mean difference to a baseline with its 95 % confidence interval.

    Trainings with the same seed are compared.

    Args:
        own: A metric by seed.
        baseline: That of the baseline.

    Returns:
        The :func:`mean_interval` of the differences over the seeds that both have, or None if there
        is no such seed.
    """
    return mean_interval([own[seed] - baseline[seed] for seed in own if seed in baseline])


def is_shown(difference: Dict[str, Any]) -> bool:
    """Return True if the confidence interval of a difference does not contain 0."""
    return difference['low'] is not None and not difference['low'] <= 0 <= difference['high']
