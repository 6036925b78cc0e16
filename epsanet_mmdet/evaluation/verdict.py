"""The sections on top of a page: AP or differences with their uncertainty, and the score to use."""

from typing import Any, Dict, Optional

import numpy as np
from pycocotools.coco import COCO

from ..utils.page import Section, render_section
from .bootstrap import Interval
from .metrics import IOU_TYPES, SUMMARY, Evaluations, summarise
from .plots import plot_curves
from .seeds import is_shown
from .thresholds import ScoreCurve


def verdict_section(
    evaluations: Evaluations, intervals: Dict[str, Optional[Interval]], curve: ScoreCurve, gt: COCO
) -> Section:
    """Return AP of boxes and masks with its uncertainty, and F1 at the recommended score."""
    figures = []
    for iou_type, seeds in evaluations.items():
        ap, ap50, ap75 = (summarise(seeds, figure) or {} for figure in SUMMARY[:3])
        figures.append(
            dict(
                name=IOU_TYPES[iou_type],
                mean=ap.get('mean'),
                deviation=ap.get('deviation'),
                interval=intervals[iou_type],
                ap50=ap50.get('mean'),
                ap75=ap75.get('mean'),
            )
        )
    return render_section(
        'Verdict',
        'verdict',
        figures=figures,
        seeds=len(next(iter(evaluations.values()))),
        images=len(gt.imgs),
        objects=sum(not annotation['iscrowd'] for annotation in gt.anns.values()),
        **_best(curve),
    )


def compared_verdict_section(prefix: str, comparison: Dict[str, Any]) -> Optional[Section]:
    """Return which variants differ from the baseline; None before there are differences.

    Args:
        prefix: Begins the heading.
        comparison: See :func:`epsanet_mmdet.experiments.table.summarise`.
    """
    rows = [row for row in comparison['rows'] if row['to_baseline']]
    iou_types = [t for t in IOU_TYPES if any(t in row['to_baseline'] for row in rows)]
    if not rows:
        return None
    baseline = next(r for r in comparison['rows'] if r['name'] == comparison['baseline'])
    differences = [[(row['to_baseline'].get(t) or {}).get('AP') for t in iou_types] for row in rows]
    seeds = [len(set(row['seeds']) & set(baseline['seeds'])) for row in rows]
    return render_section(
        f'{prefix}Verdict',
        'compared_verdict',
        baseline=baseline['label'],
        names=[IOU_TYPES[iou_type] for iou_type in iou_types],
        rows=list(zip([row['label'] for row in rows], differences, seeds)),
        shown=is_shown,
    )


def _best(curve: ScoreCurve) -> Dict[str, Any]:
    i = curve.best
    figures = dict(precision=curve.precision[i], recall=curve.recall[i], f1=curve.f1[i])
    return dict(figures, curve=None if curve.recommended is None else curve)


def threshold_section(curve: ScoreCurve, iou_type: str) -> Section:
    """Return precision, recall and F1 against the score, and the recommended score."""
    figures = dict(precision=curve.precision, recall=curve.recall, F1=curve.f1)
    curves = {
        name: {x: y for x, y in zip(curve.scores, values) if not np.isnan(y)}
        for name, values in figures.items()
    }
    columns = zip(curve.scores, *([_number(v) for v in values] for values in figures.values()))
    rows = [row for i, row in enumerate(columns) if i % 10 == 0 or i == curve.best]
    best = _best(curve)
    plots = []
    if best['curve']:
        plot = plot_curves(
            curves, 'score', '', bold=('F1',), ylim=(0, 1.02), mark=curve.recommended
        )
        caption = 'Precision, recall and F1 of the detections from a score on; dotted: recommended'
        plots.append((caption, plot))
    name = IOU_TYPES[iou_type]
    return render_section('Score threshold', 'threshold', plots=plots, rows=rows, name=name, **best)


def _number(value: float) -> Optional[float]:
    return None if np.isnan(value) else float(value)
