"""The page of a plan: variants compared with each other and with published results."""

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from pycocotools.coco import COCO

from ..config.data import data_paths
from ..utils.page import Section, render_page, render_section
from .data import load_ground_truth, load_results
from .gallery import worst_pictures
from .matching import Match, match
from .metrics import IOU_TYPES, SUMMARY, Evaluations, evaluate, mean, precision_curve
from .plots import plot_costs, plot_curves, plot_rows
from .sections import criterion, facts_section, gallery_section, plot_precision
from .seeds import mean_interval
from .training_log import Curve, TrainingLog, read_training_log
from .verdict import compared_verdict_section

FIGURES = SUMMARY[:6]  # the average precisions
SIZES = SUMMARY[3:6]
CLASSES = 100  # classes listed at most
RANGE = ': mean and range of the seeds'


@dataclass
class TestedRun:
    """A finished training and test.

    Args:
        row: Name of the variant.
        seed: Seed of the training.
        config: Config, with ``test_dataloader``.
        results: COCO results of the test.
        work_dir: Work folder of the training.
    """

    row: str
    seed: int
    config: Any
    results: Sequence[str]
    work_dir: str


@dataclass
class Variant:
    """The runs of one variant.

    Args:
        label: Name in the page.
        evaluations: Metrics of each seed by IoU type.
        logs: Training log of each seed.
        dt: Detections of the first seed; masks if there are some.
        matches: Matches of those detections, whatever their score.
    """

    label: str
    evaluations: Evaluations = field(default_factory=dict)
    logs: List[TrainingLog] = field(default_factory=list)
    dt: Optional[COCO] = None
    matches: Dict[int, List[Match]] = field(default_factory=dict)


def comparison_page(
    summary: Dict[str, Any],
    runs: Sequence[TestedRun],
    facts: Sequence[Tuple[str, str]] = (),
    jobs: Sequence[Dict[str, Any]] = (),
    pictures: int = 8,
    score_thr: float = 0.3,
) -> str:
    """Return the page of a plan as HTML.

    Args:
        summary: See :func:`epsanet_mmdet.experiments.table.summarise`.
        runs: Finished runs.
        facts: Names and values that describe the plan and its machine.
        jobs: Label, state, settings, seconds and AP of every job.
        pictures: Number of images to show for each comparison.
        score_thr: Score from which detections count in images at first.

    Raises:
        DataError: If annotations or results cannot be read.
    """
    several = len(summary['comparisons']) > 1
    comparisons = [
        (f'{comparison["name"] or number}: ' if several else '', comparison)
        for number, comparison in enumerate(summary['comparisons'], 1)
    ]
    sections = [compared_verdict_section(*comparison) for comparison in comparisons]
    for number, (prefix, comparison) in enumerate(comparisons, 1):
        gt, variants, image_dir = _collect(comparison, runs)
        sections.append(_results_section(prefix, comparison))
        if gt is None:
            continue
        iou_type = list(variants[0].evaluations)[-1]
        models = {v.label: (v.dt, v.matches) for v in variants}
        sections += [
            _classes_section(prefix, gt, variants, iou_type),
            _curves_section(prefix, variants),
            _training_section(prefix, variants),
            gallery_section(
                worst_pictures(gt, models, image_dir, pictures, score_thr),
                len(gt.imgs),
                criterion(iou_type, score_thr),
                prefix,
                number,
            ),
        ]
    sections.append(render_section('Jobs', 'jobs', jobs=jobs))
    sections.append(facts_section(facts))
    return render_page(summary['title'], [s for s in sections if s])


def _collect(
    comparison: Dict, runs: Sequence[TestedRun]
) -> Tuple[Optional[COCO], List[Variant], str]:
    gt, variants, image_dir = None, [], ''
    for row in comparison['rows']:
        variant = Variant(row['label'])
        for run in sorted((r for r in runs if r.row == row['name']), key=lambda r: r.seed):
            if gt is None:
                dataset = run.config.test_dataloader.dataset
                classes = (dataset.get('metainfo') or {}).get('classes')
                _, ann_file, image_dir = data_paths(dataset)
                gt = load_ground_truth(ann_file, classes)
            results = load_results(gt, run.results)
            for iou_type, dt in results.items():
                variant.evaluations.setdefault(iou_type, []).append(evaluate(gt, dt, iou_type))
            log = read_training_log(run.work_dir)
            if log:
                variant.logs.append(log)
            if variant.dt is None:
                iou_type, variant.dt = list(results.items())[-1]  # masks if there are some
                variant.matches = match(gt, variant.dt, iou_type)
        if variant.dt:
            variants.append(variant)
    return gt, variants, image_dir


def _results_section(prefix: str, comparison: Dict) -> Section:
    iou_types = [t for t in IOU_TYPES if any(t in row['figures'] for row in comparison['rows'])]
    plots = []
    for iou_type in iou_types:
        values, published = plotted_rows(comparison, iou_type)
        caption = f'{IOU_TYPES[iou_type]} AP: every seed, mean and sample standard deviation'
        caption += ', and published' if published else ''
        plots.append((caption, plot_rows(values, published)))
        costs, aps = plotted_costs(comparison, iou_type)
        caption = f'{IOU_TYPES[iou_type]} AP: mean and 95 % confidence interval, by cost'
        plots.append((caption, plot_costs(costs, aps)))
    return render_section(
        f'{prefix}Results',
        'results',
        comparison=comparison,
        iou_types=iou_types,
        names=IOU_TYPES,
        figures=FIGURES,
        plots=plots,
    )


def plotted_rows(comparison: Dict, iou_type: str) -> Tuple[Dict, Dict]:
    """Return each variant's AP of every seed, and its published AP if there is one."""
    rows = _tested_rows(comparison, iou_type)
    published = {
        row['label']: row['published'][iou_type]['AP']
        for row in rows
        if row['published'] and iou_type in row['published']
    }
    return {row['label']: row['figures'][iou_type]['AP']['values'] for row in rows}, published


def plotted_costs(comparison: Dict, iou_type: str) -> Tuple[Dict, Dict]:
    """Return each variant's costs by their names, and its AP with its interval.

    The costs are the times of a training iteration and of a test image. FLOPs replace them if no
    time is known of all variants.
    """
    rows = _tested_rows(comparison, iou_type)
    times = {
        'time per training iteration (s)': [row['iteration_seconds'] for row in rows],
        'time per test image (s)': [row['image_seconds'] for row in rows],
    }
    costs = {name: values for name, values in times.items() if all(values)}
    costs = costs or {'FLOPs of backbone and neck (G)': [row['flops'] / 1e9 for row in rows]}
    aps = {row['label']: mean_interval(row['figures'][iou_type]['AP']['values']) for row in rows}
    return {name: dict(zip(aps, values)) for name, values in costs.items()}, aps


def _tested_rows(comparison: Dict, iou_type: str) -> List[Dict]:
    return [row for row in comparison['rows'] if (row['figures'].get(iou_type) or {}).get('AP')]


def _classes_section(prefix: str, gt: COCO, variants: Sequence[Variant], iou_type: str) -> Section:
    evaluations = [v.evaluations[iou_type] for v in variants]
    lines = []
    for k, category in enumerate(evaluations[0][0].classes):
        if category.objects:
            means = [mean([e.classes[k].ap for e in seeds]) for seeds in evaluations]
            known = [value for value in means if value is not None]
            spread = max(known) - min(known) if known else 0
            lines.append((category.name, category.objects, means, spread))
    areas = [(a['area'], a['iscrowd']) for a in gt.anns.values()]
    sizes = []
    for size, low, high in zip(SIZES, (0, 32**2, 96**2), (32**2, 96**2, float('inf'))):
        count = sum(not crowd and low <= area < high for area, crowd in areas)
        means = [mean([e.summary[size] for e in seeds]) for seeds in evaluations]
        sizes.append((size.removeprefix('AP '), count, means))
    return render_section(
        f'{prefix}Object size and class',
        'compared_classes',
        iou_type=IOU_TYPES[iou_type],
        labels=[variant.label for variant in variants],
        sizes=sizes,
        classes=sorted(lines, key=lambda line: -line[1])[:CLASSES],
        left_out=max(0, len(lines) - CLASSES),
    )


def _curves_section(prefix: str, variants: Sequence[Variant]) -> Section:
    plots = []
    for iou_type, name in IOU_TYPES.items():
        for index, level in ((0, '0.5'), (5, '0.75')):
            curves = {}
            for variant in variants:
                seeds = variant.evaluations.get(iou_type, [])
                if curve := precision_curve(seeds, slice(index, index + 1)):
                    curves[variant.label] = curve
            if curves:
                caption = f'{name}, IoU {level}: mean of classes and seeds'
                plots.append((caption, plot_precision(curves)))
    return render_section(f'{prefix}Precision and recall', 'plots', plots=plots)


def _training_section(prefix: str, variants: Sequence[Variant]) -> Optional[Section]:
    logs = [(variant.label, log) for variant in variants for log in variant.logs]
    plots = []
    losses = _by_label((label, log.losses.get('loss')) for label, log in logs)
    if losses:
        plots.append((f'Training loss{RANGE}', plot_curves(losses, 'iteration', 'loss')))
    for iou_type, name in IOU_TYPES.items():
        scores = _by_label((label, log.metrics.get(f'coco/{iou_type}_mAP')) for label, log in logs)
        if scores:
            plot = plot_curves(scores, logs[0][1].metrics_unit, f'{name} AP')
            plots.append((f'Validation {name} AP{RANGE}', plot))
    return render_section(f'{prefix}Training', 'plots', plots=plots) if plots else None


def _by_label(curves: Iterable[Tuple[str, Optional[Curve]]]) -> Dict[str, List[Curve]]:
    found: Dict[str, List[Curve]] = {}
    for label, curve in curves:
        if curve:
            found.setdefault(label, []).append(curve)
    return found
