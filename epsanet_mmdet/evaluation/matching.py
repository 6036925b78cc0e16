"""Which objects were found, missed, confused or invented at IoU 0.5."""

import contextlib
import io
from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Optional

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

IOU_THRESHOLD = 0.5
MAX_DETECTIONS = 1000


@dataclass
class Pair:
    """An annotation and the detection of it; without one of them, a miss or a false detection.

    Args:
        truth: The annotation.
        found: The detection.
        ignored: Neither right nor wrong, as in a crowd.
    """

    truth: Optional[dict] = None
    found: Optional[dict] = None
    ignored: bool = False

    @property
    def outcome(self) -> str:
        if self.ignored:
            return 'ignored'
        if self.found is None:
            return 'missed'
        return 'false' if self.truth is None else 'found'


def match(
    truth: COCO, results: COCO, kind: str, score_thr: float, by_class: bool = True
) -> Dict[int, List[Pair]]:
    """Pair annotations with detections, the most confident detection first, as COCO does.

    Args:
        truth: Ground truth.
        results: Results.
        kind: ``'bbox'`` or ``'segm'``.
        score_thr: Detections with a lower score are left out.
        by_class: Pair only objects of equal classes.

    Returns:
        The pairs of each image, by its id.
    """
    compared = COCOeval(truth, results, kind)
    compared.params.iouThrs = np.array([IOU_THRESHOLD])
    compared.params.areaRng, compared.params.areaRngLbl = [[0, 1e10]], ['all']
    compared.params.maxDets = [MAX_DETECTIONS]
    compared.params.useCats = int(by_class)
    with contextlib.redirect_stdout(io.StringIO()):
        compared.evaluate()
    pairs = {image_id: [] for image_id in sorted(truth.imgs)}
    for one in filter(None, compared.evalImgs):
        pairs[one['image_id']] += _pairs(one, truth, results, score_thr)
    return pairs


def _pairs(one: dict, truth: COCO, results: COCO, score_thr: float) -> List[Pair]:
    pairs, matched = [], set()
    for i, found_id in enumerate(one['dtIds']):
        found = results.anns[found_id]
        if found['score'] < score_thr:
            continue
        truth_id = int(one['dtMatches'][0][i])
        ignored = bool(one['dtIgnore'][0][i])
        pairs.append(Pair(None if ignored else truth.anns.get(truth_id), found, ignored))
        if not ignored:
            matched.add(truth_id)
    for truth_id, ignored in zip(one['gtIds'], one['gtIgnore']):
        if truth_id not in matched:
            pairs.append(Pair(truth.anns[truth_id], ignored=bool(ignored)))
    return pairs


def count_outcomes(pairs: Dict[int, List[Pair]]) -> Dict[int, Counter]:
    """Count the outcomes of each category."""
    counts: Dict[int, Counter] = {}
    for pair in (pair for image in pairs.values() for pair in image):
        category_id = (pair.truth or pair.found)['category_id']
        counts.setdefault(category_id, Counter())[pair.outcome] += 1
    return counts


def confusion_matrix(pairs: Dict[int, List[Pair]], category_ids: List[int]) -> np.ndarray:
    """Count how often one class was taken for another.

    Args:
        pairs: Paired without regard to class.
        category_ids: The classes.

    Returns:
        Rows are the annotated classes, columns the detected ones; the last row is background,
        the last column what was missed.
    """
    place = {category_id: i for i, category_id in enumerate(category_ids)}
    matrix = np.zeros((len(place) + 1, len(place) + 1), int)
    for pair in (pair for image in pairs.values() for pair in image if not pair.ignored):
        row = place[pair.truth['category_id']] if pair.truth else -1
        column = place[pair.found['category_id']] if pair.found else -1
        matrix[row, column] += 1
    return matrix
