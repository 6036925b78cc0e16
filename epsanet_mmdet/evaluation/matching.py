"""True positives, false positives, false negatives and confusions at IoU 0.5."""

from collections import Counter
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .data import silenced

IOU_THRESHOLD = 0.5
MAX_DETECTIONS = 1000


@dataclass
class Match:
    """A ground-truth object and its detection, either of which may be missing.

    Args:
        gt: Annotation.
        dt: Detection.
        ignored: Neither right nor wrong, such as a crowd or a detection in it.
    """

    gt: Optional[dict] = None
    dt: Optional[dict] = None
    ignored: bool = False

    @property
    def outcome(self) -> str:
        """``'TP'``, ``'FP'``, ``'FN'`` or ``'ignored'``."""
        if self.ignored:
            return 'ignored'
        if self.dt is None:
            return 'FN'
        return 'FP' if self.gt is None else 'TP'


def match(gt: COCO, dt: COCO, iou_type: str, by_class: bool = True) -> Dict[int, List[Match]]:
    """Match detections to the ground truth as COCO does, highest score first.

    Args:
        gt: Ground truth.
        dt: Detections.
        iou_type: ``'bbox'`` or ``'segm'``.
        by_class: Match only objects of equal classes.

    Returns:
        The matches of each image by its id.
    """
    evaluation = COCOeval(gt, dt, iou_type)
    evaluation.params.iouThrs = np.array([IOU_THRESHOLD])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ['all']
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.useCats = int(by_class)
    silenced(evaluation.evaluate)
    matches = {image_id: [] for image_id in sorted(gt.imgs)}
    for result in filter(None, evaluation.evalImgs):
        matches[result['image_id']] += _matches(result, gt, dt)
    return matches


def _matches(result: dict, gt: COCO, dt: COCO) -> List[Match]:
    matches, matched = [], set()
    for i, dt_id in enumerate(result['dtIds']):
        detection = dt.anns[dt_id]
        gt_id = int(result['dtMatches'][0][i])
        ignored = bool(result['dtIgnore'][0][i])
        matches.append(Match(None if ignored else gt.anns.get(gt_id), detection, ignored))
        if not ignored:
            matched.add(gt_id)
    for gt_id, ignored in zip(result['gtIds'], result['gtIgnore']):
        if gt_id not in matched:
            matches.append(Match(gt.anns[gt_id], ignored=bool(ignored)))
    return matches


def at_score(matches: Iterable[Match], score_thr: float) -> List[Match]:
    """Return the matches without the detections of lower scores, as if those did not exist.

    This is exact: a detection of a lower score takes no object from one of a higher score.
    """
    kept = []
    for pair in matches:
        if pair.dt is None or pair.dt['score'] >= score_thr:
            kept.append(pair)
        elif pair.gt is not None:
            kept.append(Match(pair.gt))
    return kept


def count_outcomes(matches: Dict[int, List[Match]]) -> Dict[int, Counter]:
    """Return how often each category has each outcome."""
    counts: Dict[int, Counter] = {}
    for pair in (pair for image in matches.values() for pair in image):
        category_id = (pair.gt or pair.dt)['category_id']
        counts.setdefault(category_id, Counter())[pair.outcome] += 1
    return counts


def confusion_matrix(matches: Dict[int, List[Match]], category_ids: List[int]) -> np.ndarray:
    """Return how often objects of each class are detected as each class.

    Args:
        matches: Matches regardless of class.
        category_ids: The n classes.

    Returns:
        Counts of shape (n + 1, n + 1). Rows are annotated classes, columns detected ones; the last
        row is the background, the last column holds FN.
    """
    place = {category_id: i for i, category_id in enumerate(category_ids)}
    matrix = np.zeros((len(place) + 1, len(place) + 1), int)
    for pair in (pair for image in matches.values() for pair in image if not pair.ignored):
        row = place[pair.gt['category_id']] if pair.gt else -1
        column = place[pair.dt['category_id']] if pair.dt else -1
        matrix[row, column] += 1
    return matrix
