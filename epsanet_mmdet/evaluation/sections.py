"""Sections of a report; pages about one run or several are composed of them.

Where a section takes several evaluations or logs, they are those of the training seeds.
"""

from functools import partial
from typing import Dict, List, Sequence, Tuple

import numpy as np
from pycocotools.coco import COCO

from ..utils.page import Section, render_section
from .gallery import Gallery
from .matching import IOU_THRESHOLD, Match, confusion_matrix, count_outcomes
from .metrics import (
    IOU_TYPES,
    RECALLS,
    SUMMARY,
    Evaluations,
    mean,
    precision_curve,
    summarise,
)
from .plots import Curves, plot_curves
from .training_log import Curve, TrainingLog

PLOTTED_CLASSES = 10
TOP_CONFUSIONS = 10
CELLS = 12  # classes whose counts fit into a matrix at most
CLASS_FIGURES = ('ap', 'ap50', 'ap75')
INK = 0.6  # opacity of a cell with all of its row, which leaves its count legible

plot_precision = partial(plot_curves, xlabel='recall', ylabel='precision', ylim=(0, 1.02))


def criterion(iou_type: str, score_thr: float) -> str:
    """Describe when a detection counts as a TP."""
    return f'{IOU_TYPES[iou_type]} IoU ≥ {IOU_THRESHOLD} and score ≥ {score_thr:.2f}'


def summary_section(evaluations: Evaluations) -> Section:
    """Return all of COCO's metrics of boxes and masks."""
    rows = [
        (IOU_TYPES[iou_type], [summarise(seeds, figure) for figure in SUMMARY])
        for iou_type, seeds in evaluations.items()
    ]
    seeds = len(next(iter(evaluations.values())))
    return render_section("COCO's metrics", 'summary', figures=SUMMARY, rows=rows, seeds=seeds)


def classes_section(
    evaluations: Evaluations, gt: COCO, matches: Dict[int, List[Match]], criterion: str
) -> Section:
    """Return AP, TP, FP and FN of each class, the highest AP first.

    Args:
        evaluations: Metrics.
        gt: Ground truth.
        matches: Matches of the counted detections.
        criterion: Condition for a TP, in words.
    """
    counts, rows = count_outcomes(matches), []
    first = next(iter(evaluations.values()))
    for k, category_id in enumerate(sorted(gt.cats)):
        category = first[0].classes[k]
        if category.objects or category_id in counts:
            figures = [
                [mean([getattr(seed.classes[k], name) for seed in seeds]) for name in CLASS_FIGURES]
                for seeds in evaluations.values()
            ]
            rows.append(
                dict(
                    name=category.name,
                    objects=category.objects,
                    ap=figures[0][0],
                    figures=figures,
                    counts=counts.get(category_id, {}),
                )
            )
    return render_section(
        'AP by class',
        'classes',
        names=[IOU_TYPES[iou_type] for iou_type in evaluations],
        rows=sorted(rows, key=lambda row: -1 if row['ap'] is None else row['ap'], reverse=True),
        absent=len(gt.cats) - len(rows),
        criterion=criterion,
        seeds=len(first),
    )


def precision_recall_section(evaluations: Evaluations) -> Section:
    """Return plots of precision over recall: mean of the classes, and the most frequent ones."""
    plots = []
    for iou_type, seeds in evaluations.items():
        name = IOU_TYPES[iou_type]
        curves = {
            'IoU 0.5': precision_curve(seeds, slice(0, 1)),
            'IoU 0.75': precision_curve(seeds, slice(5, 6)),
            'mean of IoU 0.5 to 0.95': precision_curve(seeds),
        }
        plots.append((f'{name}: mean of the classes', plot_precision(curves)))
        classes = [(m.objects, k) for k, m in enumerate(seeds[0].classes) if m.objects]
        if len(classes) > 1:
            curves = {
                seeds[0].classes[k].name: dict(
                    zip(RECALLS, np.mean([seed.precision[0, :, k] for seed in seeds], 0))
                )
                for _, k in sorted(classes, key=lambda item: -item[0])[:PLOTTED_CLASSES]
            }
            caption = f'{name}: the most frequent classes at IoU 0.5'
            plots.append((caption, plot_precision(curves)))
    return render_section('Precision and recall', 'plots', plots=plots)


def confusion_section(gt: COCO, matches: Dict[int, List[Match]], criterion: str) -> Section:
    """Return the confusion matrix; ``matches`` are matched regardless of class."""
    matrix = confusion_matrix(matches, sorted(gt.cats))
    occurring = np.flatnonzero(matrix.sum(axis=0)[:-1] + matrix.sum(axis=1)[:-1])
    names = [gt.cats[sorted(gt.cats)[i]]['name'] for i in occurring]
    matrix = matrix[np.ix_([*occurring, -1], [*occurring, -1])]
    wrong = matrix[:-1, :-1] * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind='stable')[:TOP_CONFUSIONS]
    top = [(names[i // len(names)], names[i % len(names)], int(wrong.flat[i])) for i in order]
    shares = INK * matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    return render_section(
        'Confusion matrix',
        'confusion',
        rows=[*names, 'background'],
        columns=[*names, 'FN'],
        cells=[(i, j, matrix[i, j], shares[i, j].round(3)) for i, j in np.argwhere(matrix)],
        counts=len(names) <= CELLS,
        top=[row for row in top if row[2]],
        criterion=criterion,
    )


def training_section(*logs: TrainingLog) -> Section:
    """Return plots of the losses and validation metrics of one training, or of several seeds."""
    plots, seeds = [], f': mean and range of {len(logs)} seeds' if len(logs) > 1 else ''
    losses = join_curves([log.losses for log in logs])
    if losses:
        plot = plot_curves(losses, 'iteration', 'loss', bold=('loss',))
        plots.append((f'Training losses{seeds}', plot))
    shown = {
        name.split('/')[-1].replace('_', ' '): values
        for name, values in join_curves([log.metrics for log in logs]).items()
        if name.endswith(('mAP', 'mAP_50')) or 'mAP' not in name
    }
    if shown:
        plot = plot_curves(shown, logs[0].metrics_unit, 'value')
        plots.append((f'Validation during training{seeds}', plot))
    return render_section('Training', 'plots', plots=plots)


def join_curves(logged: Sequence[Dict[str, Curve]]) -> Dict[str, Curves]:
    """Return the curves of each name; curves that share no step with the first are left out."""
    return {
        name: [curves[name] for curves in logged if curve.keys() & curves.get(name, {}).keys()]
        for name, curve in logged[0].items()
    }


def gallery_section(
    gallery: Gallery, images: int, criterion: str, prefix: str = '', number: int = 0
) -> Section:
    """Return images with their ground truth and detections.

    Args:
        gallery: See :func:`epsanet_mmdet.evaluation.gallery.worst_pictures`.
        images: Number of tested images.
        criterion: Condition for a TP, in words.
        prefix: Beginning of the heading.
        number: Number of the gallery in the page.
    """
    return render_section(
        f'{prefix}Images, worst first',
        'gallery',
        gallery=gallery,
        models=max((len(picture.panels) for picture in gallery.pictures), default=0),
        images=images,
        criterion=criterion,
        number=number,
    )


def facts_section(facts: Sequence[Tuple[str, str]], config: str = '') -> Section:
    """Return names and values that describe a run, and the text of its config."""
    return render_section('Run', 'facts', facts=facts, config=config)
