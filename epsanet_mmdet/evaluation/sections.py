"""Sections of a report; pages about one run or several are composed of them."""

from functools import partial
from typing import Dict, List, Sequence, Tuple

import numpy as np
from pycocotools.coco import COCO

from ..utils.page import Section, render_section
from ..utils.svg import Picture
from .matching import IOU_THRESHOLD, Match, confusion_matrix, count_outcomes
from .metrics import IOU_TYPES, RECALLS, SUMMARY, Evaluation, precision_curve
from .plots import plot_confusion, plot_curves
from .training_log import TrainingLog

PLOTTED_CLASSES = 10
TOP_CONFUSIONS = 10

plot_precision = partial(plot_curves, xlabel='recall', ylabel='precision', ylim=(0, 1.02))


def criterion(iou_type: str, score_thr: float) -> str:
    """Describe when a detection counts as a TP."""
    return f'{IOU_TYPES[iou_type]} IoU ≥ {IOU_THRESHOLD} and score ≥ {score_thr}'


def summary_section(evaluations: Sequence[Evaluation], gt: COCO) -> Section:
    """Return COCO's metrics of boxes and masks."""
    return render_section(
        'Average precision',
        'summary',
        evaluations=evaluations,
        headline=SUMMARY[:3],
        figures=SUMMARY,
        images=len(gt.imgs),
        objects=sum(not annotation['iscrowd'] for annotation in gt.anns.values()),
    )


def classes_section(
    evaluations: Sequence[Evaluation], gt: COCO, matches: Dict[int, List[Match]], criterion: str
) -> Section:
    """Return AP, TP, FP and FN of each class; ``criterion`` describes when a detection is a TP."""
    counts = count_outcomes(matches)
    rows = []
    for category_id, metrics in zip(sorted(gt.cats), zip(*(e.classes for e in evaluations))):
        if metrics[0].objects or category_id in counts:
            rows.append((metrics, counts.get(category_id, {})))
    return render_section(
        'Classes',
        'classes',
        evaluations=evaluations,
        rows=rows,
        absent=len(gt.cats) - len(rows),
        criterion=criterion,
    )


def precision_recall_section(evaluations: Sequence[Evaluation]) -> Section:
    """Return plots of precision over recall: mean of the classes, and the most frequent ones."""
    plots = []
    for evaluation in evaluations:
        curves = {
            'IoU 0.5': precision_curve([evaluation], slice(0, 1)),
            'IoU 0.75': precision_curve([evaluation], slice(5, 6)),
            'mean of IoU 0.5 to 0.95': precision_curve([evaluation]),
        }
        plots.append((f'{evaluation.name}: mean of the classes', plot_precision(curves)))
        classes = [(m.objects, k) for k, m in enumerate(evaluation.classes) if m.objects]
        if len(classes) > 1:
            curves = {
                evaluation.classes[k].name: dict(zip(RECALLS, evaluation.precision[0, :, k]))
                for _, k in sorted(classes, key=lambda item: -item[0])[:PLOTTED_CLASSES]
            }
            caption = f'{evaluation.name}: the most frequent classes at IoU 0.5'
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
    return render_section(
        'Confusion matrix',
        'confusion',
        plot=plot_confusion(matrix, names),
        top=[row for row in top if row[2]],
        criterion=criterion,
    )


def training_section(log: TrainingLog) -> Section:
    """Return plots of the losses and validation metrics of a training."""
    plots = []
    if log.losses:
        plot = plot_curves(log.losses, 'iteration', 'loss', bold=('loss',))
        plots.append(('Training losses', plot))
    shown = {
        name.split('/')[-1].replace('_', ' '): values
        for name, values in log.metrics.items()
        if name.endswith(('mAP', 'mAP_50')) or 'mAP' not in name
    }
    if shown:
        plot = plot_curves(shown, log.metrics_unit, 'value')
        plots.append(('Validation during training', plot))
    return render_section('Training', 'plots', plots=plots)


def gallery_section(
    pictures: Sequence[Picture], images: int, criterion: str, prefix: str = '', number: int = 0
) -> Section:
    """Return images with their ground truth and detections.

    Args:
        pictures: See :func:`epsanet_mmdet.evaluation.gallery.worst_pictures`.
        images: Number of tested images.
        criterion: Condition for a TP, in words.
        prefix: Beginning of the heading.
        number: Number of the gallery in the page.
    """
    return render_section(
        f'{prefix}Images, worst first',
        'gallery',
        pictures=pictures,
        images=images,
        criterion=criterion,
        number=number,
    )


def facts_section(facts: Sequence[Tuple[str, str]], config: str = '') -> Section:
    """Return names and values that describe a run, and the text of its config."""
    return render_section('Run', 'facts', facts=facts, config=config)
