"""Precision, recall and F1 of detections against the score from which they count."""

from dataclasses import dataclass
from typing import Iterable, List, Optional

import numpy as np

from .matching import Match

STEPS = 100


@dataclass
class ScoreCurve:
    """Precision, recall and F1 at IoU 0.5, all classes together.

    Args:
        scores: Thresholds, from 0 to 1 in steps of 0.01; further if scores lie outside.
        precision: Precision of detections with at least that score; NaN without any.
        recall: Share of the objects that they find; NaN without objects.
        f1: Harmonic mean of precision and recall; NaN without objects.
    """

    scores: List[float]
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    @property
    def best(self) -> int:
        """Index of the threshold with the highest F1, the highest threshold of equal ones."""
        return len(self.f1) - 1 - int(np.nan_to_num(self.f1)[::-1].argmax())

    @property
    def recommended(self) -> Optional[float]:
        """The score with the highest F1; None if no score has hits."""
        return self.scores[self.best] if self.f1[self.best] > 0 else None


def score_curve(matches: Iterable[Match]) -> ScoreCurve:
    """Return the curve of matches, which must be without a threshold.

    Args:
        matches: Matches of all images, of several seeds if wanted.
    """
    pairs = [m for m in matches if not m.ignored]
    found = [(m.dt['score'], m.gt is not None) for m in pairs if m.dt]
    scores, hits = np.array(found, float).reshape(-1, 2).T
    low, high = min(0, scores.min(initial=0)), max(1, scores.max(initial=1))
    thresholds = np.linspace(low, high, STEPS + 1).round(6)
    counted = scores >= thresholds[:, None]
    detections, tp = counted.sum(1), (counted * hits).sum(1)
    objects = sum(m.gt is not None for m in pairs)
    with np.errstate(invalid='ignore'):
        precision, recall = tp / detections, tp / objects if objects else np.nan * tp
        f1 = 2 * tp / (detections + objects) if objects else np.nan * tp
    return ScoreCurve(thresholds.tolist(), precision, recall, f1)
