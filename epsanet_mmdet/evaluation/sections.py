"""The sections of a report, which pages about one run or about many are put together from."""

from typing import Dict, List, Sequence, Tuple

import numpy as np
from pycocotools.coco import COCO

from .gallery import Picture
from .matching import Pair, confusion_matrix, count_outcomes
from .metrics import SUMMARY, Evaluation
from .page import Section, render_section
from .plots import plot_class_precision_recall, plot_confusion, plot_curves, plot_precision_recall
from .training_log import TrainingLog

TOP_CONFUSIONS = 10


def summary_section(evaluations: Sequence[Evaluation], truth: COCO) -> Section:
    """COCO's figures of boxes and masks."""
    return render_section(
        'Average precision',
        'summary',
        evaluations=evaluations,
        headline=SUMMARY[:3],
        figures=SUMMARY,
        images=len(truth.imgs),
        objects=sum(not annotation['iscrowd'] for annotation in truth.anns.values()),
    )


def classes_section(
    evaluations: Sequence[Evaluation],
    truth: COCO,
    pairs: Dict[int, List[Pair]],
    criterion: str,
) -> Section:
    """Figures of each class, and what was found and missed of it by a criterion, in words."""
    counts = count_outcomes(pairs)
    rows = []
    for category_id, metrics in zip(sorted(truth.cats), zip(*(e.classes for e in evaluations))):
        if metrics[0].objects or category_id in counts:
            rows.append((metrics, counts.get(category_id, {})))
    return render_section(
        'Classes',
        'classes',
        evaluations=evaluations,
        rows=rows,
        absent=len(truth.cats) - len(rows),
        criterion=criterion,
    )


def precision_recall_section(evaluations: Sequence[Evaluation]) -> Section:
    """Precision over recall."""
    plots = []
    for evaluation in evaluations:
        name = evaluation.name
        plots.append((f'{name}: mean of the classes', plot_precision_recall(evaluation)))
        if sum(metrics.objects > 0 for metrics in evaluation.classes) > 1:
            plot = plot_class_precision_recall(evaluation)
            plots.append((f'{name}: the most frequent classes at IoU 0.5', plot))
    return render_section('Precision and recall', 'plots', plots=plots)


def confusion_section(truth: COCO, pairs: Dict[int, List[Pair]], criterion: str) -> Section:
    """Which classes were taken for which; ``pairs`` are paired without regard to class."""
    matrix = confusion_matrix(pairs, sorted(truth.cats))
    occurring = np.flatnonzero(matrix.sum(axis=0)[:-1] + matrix.sum(axis=1)[:-1])
    names = [truth.cats[sorted(truth.cats)[i]]['name'] for i in occurring]
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
    """Losses and validation metrics during the training."""
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


def gallery_section(pictures: Sequence[Picture], images: int, criterion: str) -> Section:
    """Predictions beside the ground truth."""
    return render_section(
        'Pictures, the worst first',
        'gallery',
        pictures=pictures,
        images=images,
        criterion=criterion,
    )


def facts_section(facts: Sequence[Tuple[str, str]], config: str = '') -> Section:
    """What was run, and with what; ``config`` is a config's text."""
    return render_section('Run', 'facts', facts=facts, config=config)
