"""How far the detections of an exported file are from those of the detector."""

from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
from mmengine.structures import InstanceData

Arrays = Sequence[np.ndarray]  # boxes (N, 4), scores (N,), labels (N,) and perhaps masks (N, H, W)


class Agreement(NamedTuple):
    """The greatest difference between two sets of detections, and how many both have."""

    difference: float
    common: int


def compare_detections(
    got: Arrays, expected: Arrays, size: Tuple[int, int], floor: float
) -> Agreement:
    """Compare two sets of detections in one image.

    Detections are matched by label, box and score, whatever their order. The differences of two
    matched ones are those of their coordinates, as a share of the longer side of the image, of
    their scores, and the share of the pixels of the image in which their masks differ.

    A detection without a match counts by how far its score is above the floor. One in ten may have
    none, because of two overlapping boxes with equal scores, rounding decides which one stays.

    Args:
        got: Boxes, scores, labels and perhaps masks.
        expected: The same.
        size: Height and width of the image.
        floor: The lowest score of a detection.
    """
    pairs = match(got, expected, size)
    differences = [0.0]
    for i, j in pairs:
        differences.append(_distance(got, expected, i, j, size))
        if len(expected) > 3:
            differences.append(float((got[3][i] != expected[3][j]).mean()))
    excess = []
    for detections, side in ((got, 0), (expected, 1)):
        matched = {pair[side] for pair in pairs}
        unmatched = [s for i, s in enumerate(detections[1]) if i not in matched]
        excess.extend(float(score - floor) for score in unmatched)
    excess = sorted(excess, reverse=True)[len(expected[1]) // 10 :]
    return Agreement(float(np.max(differences + excess)), len(pairs))


def match(
    got: Arrays, expected: Arrays, size: Tuple[int, int], within: float = 0.01
) -> List[Tuple[int, int]]:
    """Return pairs of indices of detections that are the same object.

    They have the same label, and coordinates and scores that differ by at most ``within``.
    """
    free, pairs = set(range(len(got[1]))), []
    for j in range(len(expected[1])):
        distances = {i: _distance(got, expected, i, j, size) for i in free}
        distances = {i: d for i, d in distances.items() if d <= within}
        if distances:
            nearest = min(distances, key=distances.get)
            free.remove(nearest)
            pairs.append((nearest, j))
    return pairs


def arrays(instances: InstanceData) -> List[np.ndarray]:
    """Return the boxes, scores, labels and perhaps masks that a detector predicted."""
    names = ['bboxes', 'scores', 'labels'] + ['masks'] * ('masks' in instances)
    return [np.asarray(instances.cpu().numpy()[name]) for name in names]


def _distance(got: Arrays, expected: Arrays, i: int, j: int, size: Tuple[int, int]) -> float:
    if got[2][i] != expected[2][j]:
        return np.inf
    box = np.abs(got[0][i] - expected[0][j]).max() / max(size)
    return float(np.max([box, abs(got[1][i] - expected[1][j])]))  # NaN if one is
