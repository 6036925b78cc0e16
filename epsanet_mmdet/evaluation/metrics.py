"""COCO's metrics, from pycocotools."""

import contextlib
import io
from dataclasses import dataclass
from typing import Dict, List, Optional

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SUMMARY = ('AP', 'AP50', 'AP75', 'AP small', 'AP medium', 'AP large')
SUMMARY += ('AR 1', 'AR 10', 'AR 100', 'AR small', 'AR medium', 'AR large')
KIND_NAMES = {'bbox': 'box', 'segm': 'mask'}


@dataclass
class ClassMetrics:
    """The metrics of one class, 0 to 1; None where it has no objects."""

    name: str
    objects: int
    ap: Optional[float]
    ap50: Optional[float]
    ap75: Optional[float]


@dataclass
class Evaluation:
    """COCO's metrics of boxes or masks.

    Args:
        kind: ``'bbox'`` or ``'segm'``.
        summary: COCO's twelve figures by their names in ``SUMMARY``; None where undefined.
        classes: The same for each class.
        precision: Of shape (10 IoU thresholds from 0.5, 101 recalls, classes); NaN for classes
            without objects.
    """

    kind: str
    summary: Dict[str, Optional[float]]
    classes: List[ClassMetrics]
    precision: np.ndarray

    @property
    def name(self) -> str:
        return KIND_NAMES[self.kind]


def evaluate(truth: COCO, results: COCO, kind: str) -> Evaluation:
    """Compare results with the ground truth as COCO does.

    Args:
        truth: See :func:`epsanet_mmdet.evaluation.data.load_truth`.
        results: See :func:`epsanet_mmdet.evaluation.data.load_results`.
        kind: ``'bbox'`` or ``'segm'``.
    """
    compared = COCOeval(truth, results, kind)
    with contextlib.redirect_stdout(io.StringIO()):
        compared.evaluate()
        compared.accumulate()
        compared.summarize()
    precision = compared.eval['precision'][:, :, :, 0, -1]  # any size, up to 100 detections
    precision = np.where(precision < 0, np.nan, precision)
    classes = []
    for k, category_id in enumerate(compared.params.catIds):
        annotations = truth.loadAnns(truth.getAnnIds(catIds=[category_id], iscrowd=False))
        per_iou = precision[:, :, k].mean(axis=1)
        figures = (_number(per_iou.mean()), _number(per_iou[0]), _number(per_iou[5]))
        classes.append(ClassMetrics(truth.cats[category_id]['name'], len(annotations), *figures))
    summary = dict(zip(SUMMARY, map(_number, compared.stats)))
    return Evaluation(kind, summary, classes, precision)


def _number(value: float) -> Optional[float]:
    return None if np.isnan(value) or value < 0 else float(value)
