"""The page about a plan: rows compared with each other and with the published figures."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from pycocotools.coco import COCO

from ..config.data import data_paths
from .data import load_results, load_truth
from .gallery import ComparedPicture, compared_pictures
from .matching import IOU_THRESHOLD, Pair, match
from .metrics import KIND_NAMES, SUMMARY, Evaluation, evaluate
from .page import Section, render_page, render_section
from .plots import plot_curves, plot_rows
from .sections import facts_section
from .training_log import TrainingLog, read_training_log

FIGURES = SUMMARY[:6]  # the average precisions
SIZES = SUMMARY[3:6]
CLASSES = 100  # most rows of the table of classes


@dataclass
class TestedRun:
    """One finished training and test.

    Args:
        row: Name of its row.
        seed: Its seed.
        config: Its config, with ``test_dataloader``.
        results: COCO results of its test.
        work_dir: Where it was trained.
    """

    row: str
    seed: int
    config: Any
    results: Sequence[str]
    work_dir: str


@dataclass
class RowRuns:
    """What a row of one comparison shows.

    Args:
        label: Its name on the page.
        evaluations: COCO's metrics of each seed, by kind.
        logs: The trainings' logs by seed.
        found: Results of the first seed; masks if there are some.
        pairs: Which objects those results found and missed.
    """

    label: str
    evaluations: Dict[str, List[Evaluation]] = field(default_factory=dict)
    logs: Dict[int, TrainingLog] = field(default_factory=dict)
    found: Optional[COCO] = None
    pairs: Dict[int, List[Pair]] = field(default_factory=dict)


def comparison_page(
    summary: Dict[str, Any],
    runs: Sequence[TestedRun],
    facts: Sequence[Tuple[str, str]] = (),
    jobs: Sequence[Dict[str, Any]] = (),
    pictures: int = 8,
    score_thr: float = 0.3,
) -> str:
    """Make the page of a plan.

    Args:
        summary: See :func:`epsanet_mmdet.experiments.table.summarise`.
        runs: The finished runs.
        facts: Names and values of what it ran on.
        jobs: Name, state, settings, seconds and AP of every job.
        pictures: How many to show for each comparison.
        score_thr: Lower scores count as not detected in counts and pictures.

    Raises:
        DataError: If annotations or results cannot be read.
    """
    sections = []
    several = len(summary['comparisons']) > 1
    for number, comparison in enumerate(summary['comparisons'], 1):
        prefix = f'{comparison["name"] or number}: ' if several else ''
        truth, rows, image_dir = _collect(comparison, runs, score_thr)
        sections.append(_results_section(prefix, comparison))
        if truth is None:
            continue
        worst = compared_pictures(
            truth, {r.label: (r.found, r.pairs) for r in rows if r.found}, image_dir, pictures
        )
        sections += [
            _classes_section(prefix, truth, rows),
            _curves_section(prefix, rows),
            _training_section(prefix, rows),
            _gallery_section(prefix, worst, truth, rows, score_thr, number),
        ]
    sections.append(render_section('Jobs', 'jobs', jobs=jobs))
    sections.append(facts_section(facts))
    return render_page(summary['title'], [s for s in sections if s], sortable=True)


def _collect(
    comparison: Dict, runs: Sequence[TestedRun], score_thr: float
) -> Tuple[Optional[COCO], List[RowRuns], str]:
    truth, rows, image_dir = None, [], ''
    for row in comparison['rows']:
        collected = RowRuns(row['label'])
        for run in sorted((r for r in runs if r.row == row['name']), key=lambda r: r.seed):
            dataset = run.config.test_dataloader.dataset
            if truth is None:
                classes = (dataset.get('metainfo') or {}).get('classes')
                _, ann_file, image_dir = data_paths(dataset)
                truth = load_truth(ann_file, classes)
            found = load_results(truth, run.results)
            for kind, results in found.items():
                collected.evaluations.setdefault(kind, []).append(evaluate(truth, results, kind))
            log = read_training_log(run.work_dir)
            if log:
                collected.logs[run.seed] = log
            if collected.found is None:
                kind = list(found)[-1]  # masks if there are some
                collected.found = found[kind]
                collected.pairs = match(truth, found[kind], kind, score_thr)
        if collected.evaluations:
            rows.append(collected)
    return truth, rows, image_dir


def _results_section(prefix: str, comparison: Dict) -> Section:
    kinds = [k for k in KIND_NAMES if any(k in row['figures'] for row in comparison['rows'])]
    plots = []
    for kind in kinds:
        values, published = plotted_rows(comparison, kind)
        caption = f'{KIND_NAMES[kind]} AP: every seed, mean and sample deviation'
        caption += ', and published' if published else ''
        plots.append((caption, plot_rows(values, published)))
    return render_section(
        f'{prefix}Results',
        'results',
        comparison=comparison,
        kinds=kinds,
        names=KIND_NAMES,
        figures=FIGURES,
        plots=plots,
    )


def plotted_rows(comparison: Dict, kind: str) -> Tuple[Dict, Dict]:
    """Return the AP of every seed by row, and the published AP, for ``plot_rows``."""
    rows = [row for row in comparison['rows'] if (row['figures'].get(kind) or {}).get('AP')]
    published = {
        row['label']: row['published'][kind]['AP']
        for row in rows
        if row['published'] and kind in row['published']
    }
    return {row['label']: row['figures'][kind]['AP']['values'] for row in rows}, published


def _classes_section(prefix: str, truth: COCO, rows: Sequence[RowRuns]) -> Section:
    kind = list(rows[0].evaluations)[-1]
    lines = []
    for k, category in enumerate(rows[0].evaluations[kind][0].classes):
        if category.objects:
            means = [_mean([e.classes[k].ap for e in row.evaluations[kind]]) for row in rows]
            lines.append((category.name, category.objects, means, _spread_of(means)))
    total = len(lines)
    lines = sorted(lines, key=lambda line: -line[1])[:CLASSES]
    areas = [(a['area'], a['iscrowd']) for a in truth.anns.values()]
    counts = [
        sum(not crowd and low <= area < high for area, crowd in areas)
        for low, high in ((0, 32**2), (32**2, 96**2), (96**2, float('inf')))
    ]
    sizes = [
        (
            size.removeprefix('AP '),
            count,
            [_mean([e.summary[size] for e in row.evaluations[kind]]) for row in rows],
        )
        for size, count in zip(SIZES, counts)
    ]
    return render_section(
        f'{prefix}Object size and class',
        'compared_classes',
        kind=KIND_NAMES[kind],
        labels=[row.label for row in rows],
        sizes=sizes,
        classes=lines,
        left_out=total - len(lines),
    )


def _mean(values: Sequence[Optional[float]]) -> Optional[float]:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _spread_of(values: Sequence[Optional[float]]) -> float:
    known = [value for value in values if value is not None]
    return max(known) - min(known) if known else 0


def _curves_section(prefix: str, rows: Sequence[RowRuns]) -> Section:
    plots = []
    recalls = np.linspace(0, 1, 101).round(2).tolist()
    for kind, name in KIND_NAMES.items():
        for index, level in ((0, '0.5'), (5, '0.75')):
            curves = {}
            for row in rows:
                found = np.array([e.precision[index] for e in row.evaluations.get(kind, [])])
                found = found[..., ~np.isnan(found[0, 0])] if found.size else found
                if found.size:
                    curves[row.label] = dict(zip(recalls, found.mean(axis=(0, 2)).tolist()))
            if curves:
                caption = f'{name}, IoU {level}: mean of classes and seeds'
                plots.append((caption, plot_curves(curves, 'recall', 'precision')))
    return render_section(f'{prefix}Precision and recall', 'plots', plots=plots)


def _training_section(prefix: str, rows: Sequence[RowRuns]) -> Optional[Section]:
    plots = []
    losses = {r.label: [log.losses.get('loss', {}) for log in r.logs.values()] for r in rows}
    if any(curve for curves in losses.values() for curve in curves):
        plots.append(
            ('Training loss of every job', plot_curves(_joined(losses), 'iteration', 'loss'))
        )
    unit = next((log.metrics_unit for row in rows for log in row.logs.values()), 'epoch')
    for kind, name in KIND_NAMES.items():
        key = f'coco/{kind}_mAP'
        scores = {r.label: [log.metrics.get(key, {}) for log in r.logs.values()] for r in rows}
        if any(curve for curves in scores.values() for curve in curves):
            plot = plot_curves(_joined(scores), unit, f'{name} AP')
            plots.append((f'Validation {name} AP of every job', plot))
    return render_section(f'{prefix}Training', 'plots', plots=plots) if plots else None


def _joined(curves: Dict[str, List[Dict]]) -> Dict[str, List[Dict]]:
    return {label: [curve for curve in own if curve] for label, own in curves.items()}


def _gallery_section(
    prefix: str,
    pictures: Sequence[ComparedPicture],
    truth: COCO,
    rows: Sequence[RowRuns],
    score_thr: float,
    number: int,
) -> Section:
    kind = KIND_NAMES[list(rows[0].evaluations)[-1]]
    return render_section(
        f'{prefix}Pictures, the worst first',
        'compared_gallery',
        pictures=pictures,
        images=len(truth.imgs),
        criterion=f'{kind} IoU {IOU_THRESHOLD}, with scores from {score_thr}',
        number=number,
    )
