"""COCO's metrics, as pycocotools computes them."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from pycocotools.coco import COCO

from ..datasets.coco_evaluation import coco_eval_class
from .data import silenced
from .seeds import spread

SUMMARY = ('AP', 'AP50', 'AP75', 'AP small', 'AP medium', 'AP large')
SUMMARY += ('AR 1', 'AR 10', 'AR 100', 'AR small', 'AR medium', 'AR large')
IOU_TYPES = {'bbox': 'box', 'segm': 'mask'}
RECALLS = np.linspace(0, 1, 101).round(2).tolist()


@dataclass
class ClassMetrics:
    """AP of a class, 0 to 1; None if the class has no objects."""

    name: str
    objects: int
    ap: Optional[float]
    ap50: Optional[float]
    ap75: Optional[float]


@dataclass
class Evaluation:
    """COCO's metrics of boxes or masks.

    Args:
        iou_type: ``'bbox'`` or ``'segm'``.
        summary: COCO's twelve metrics by their names in ``SUMMARY``, 0 to 1; None if undefined.
        classes: Metrics of each class.
        precision: Precision of shape (10 IoU thresholds from 0.5, 101 recalls, classes); NaN for
            classes without objects.
    """

    iou_type: str
    summary: Dict[str, Optional[float]]
    classes: List[ClassMetrics]
    precision: np.ndarray

    @property
    def name(self) -> str:
        return IOU_TYPES[self.iou_type]


Evaluations = Dict[str, List[Evaluation]]  # of each seed, by IoU type


def evaluate(gt: COCO, dt: COCO, iou_type: str) -> Evaluation:
    """Compute COCO's metrics of detections.

    Args:
        gt: See :func:`epsanet_mmdet.evaluation.data.load_ground_truth`.
        dt: See :func:`epsanet_mmdet.evaluation.data.load_results`.
        iou_type: ``'bbox'`` or ``'segm'``.
    """
    evaluation = coco_eval_class()(gt, dt, iou_type)
    for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
        silenced(step)
    precision = evaluation.eval['precision'][:, :, :, 0, -1]  # any size, up to 100 detections
    precision = np.where(precision < 0, np.nan, precision)
    classes = []
    for k, category_id in enumerate(evaluation.params.catIds):
        objects = len(gt.getAnnIds(catIds=[category_id], iscrowd=False))
        per_iou = precision[:, :, k].mean(axis=1)
        figures = (_number(per_iou.mean()), _number(per_iou[0]), _number(per_iou[5]))
        classes.append(ClassMetrics(gt.cats[category_id]['name'], objects, *figures))
    summary = dict(zip(SUMMARY, map(_number, evaluation.stats)))
    return Evaluation(iou_type, summary, classes, precision)


def precision_curve(
    evaluations: Sequence[Evaluation], thresholds: slice = slice(None)
) -> Dict[float, float]:
    """Return the mean precision of all classes with objects by recall; empty without any.

    Args:
        evaluations: Evaluations to average, such as one per seed.
        thresholds: Indices of IoU thresholds to average, 0 for 0.5 to 9 for 0.95.
    """
    precision = np.array([evaluation.precision[thresholds] for evaluation in evaluations])
    if precision.size:
        precision = precision[..., ~np.isnan(precision[0, 0, 0])]
    return dict(zip(RECALLS, precision.mean(axis=(0, 1, 3)).tolist())) if precision.size else {}


def summarise(seeds: Sequence[Evaluation], figure: str) -> Optional[Dict[str, Any]]:
    """Return mean and sample standard deviation of a metric over seeds; None if it is undefined."""
    return spread([seed.summary[figure] for seed in seeds])


def mean(values: Sequence[Optional[float]]) -> Optional[float]:
    """Return the mean of those that are not None, or None."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _number(value: float) -> Optional[float]:
    return None if np.isnan(value) or value < 0 else float(value)
