"""The page of a plan, ``report.html``, and its plots as files."""

import re
from datetime import datetime
from typing import Any, Dict, List, Tuple

from ..evaluation.comparing import TestedRun, comparison_page, plotted_costs, plotted_rows
from ..evaluation.metrics import IOU_TYPES
from ..evaluation.plots import plot_costs, plot_rows, save_plot
from ..utils.storage import write_whole
from .fingerprint import short_hash
from .job import Job, result_files
from .plan import Plan
from .prepare import PreparedPlan


def write_page(prepared: PreparedPlan, summary: Dict[str, Any]) -> None:
    """Write ``report.html``, and plots of AP as ``plots/*.svg`` and ``plots/*.png``.

    Pictures and curves are of the jobs whose detections are still there.

    Args:
        prepared: The plan.
        summary: See :func:`epsanet_mmdet.experiments.table.summarise`.

    Raises:
        DataError: If results cannot be read.
        StorageError: If the page cannot be written.
    """
    runs = [
        TestedRun(
            job.variant.name,
            job.seed,
            job.config,
            results,
            str(job.folder / 'train'),
        )
        for job in prepared.jobs
        if job.result and (results := result_files(job.folder / 'test'))
    ]
    page = comparison_page(
        summary,
        runs,
        facts=_facts(prepared, summary),
        jobs=[_describe_job(job) for job in prepared.jobs],
        pictures=prepared.plan.report.pictures,
        score_thr=prepared.plan.report.score_thr,
    )
    write_whole(page, prepared.work_dir / 'report.html')
    _write_plots(prepared, summary)


def _write_plots(prepared: PreparedPlan, summary: Dict[str, Any]) -> None:
    folder = prepared.work_dir / 'plots'
    prefixes = plot_prefixes([comparison['name'] for comparison in summary['comparisons']])
    for prefix, comparison in zip(prefixes, summary['comparisons']):
        for iou_type, title in IOU_TYPES.items():
            values, published = plotted_rows(comparison, iou_type)
            costs = plotted_costs(comparison, iou_type)
            for suffix in ('svg', 'png') if values else ():
                folder.mkdir(exist_ok=True)
                save_plot(plot_rows, folder / f'{prefix}{title}-ap.{suffix}', values, published)
                save_plot(plot_costs, folder / f'{prefix}{title}-ap-by-cost.{suffix}', *costs)


def plot_prefixes(names: List[str]) -> List[str]:
    """Return a prefix of file names for each comparison: its name or number; none for a single."""
    if len(names) == 1:
        return ['']
    words = [re.sub(r'\W+', '-', name.lower()).strip('-') for name in names]
    distinct = all(words) and len(set(words)) == len(words)
    return [f'{word if distinct else number}-' for number, word in enumerate(words, 1)]


def _describe_job(job: Job) -> Dict[str, Any]:
    metrics = (job.result or {}).get('metrics', {})
    return dict(
        label=job.variant.label,
        seed=job.seed,
        state='done' if job.result else 'begun' if job.seconds else 'to do',
        settings=short_hash(job.settings),
        train=job.seconds.get('train'),
        test=job.seconds.get('test'),
        **{iou_type: (metrics.get(iou_type) or {}).get('AP') for iou_type in IOU_TYPES},
    )


def starting_weights(plan: Plan) -> str:
    """Return the weights of all variants in words, or of each one if some have their own."""
    default = plan.weights or "the configs'"
    if not any(variant.weights for variant in plan.variants):
        return default
    return ', '.join(f'{v.name}: {v.weights or default}' for v in plan.variants)


def _facts(prepared: PreparedPlan, summary: Dict[str, Any]) -> List[Tuple[str, str]]:
    plan, job = prepared.plan, prepared.jobs[0]
    config, data = job.config, job.settings['data']
    optimizer = config.optim_wrapper.get('optimizer', {})
    epochs, iterations = (config.train_cfg.get(key) for key in ('max_epochs', 'max_iters'))
    batch_size = config.train_dataloader.get('batch_size', 1)
    return [
        ('plan', plan.name),
        ('seeds', ', '.join(map(str, plan.seeds))),
        ('training images', f'{data["train"]["images"]}'),
        ('test images', f'{data["test"]["images"]}'),
        ('schedule', f'{epochs} epochs' if epochs else f'{iterations} iterations'),
        ('images per step', f'{plan.launcher.gpus} x {batch_size}'),
        ('optimizer', ', '.join(f'{key} {value}' for key, value in optimizer.items())),
        ('weights', starting_weights(plan)),
        ('overrides', ', '.join(f'{k}={v}' for k, v in plan.overrides.items()) or 'none'),
        *(('versions', ', '.join(f'{n} {v}' for n, v in v_.items())) for v_ in summary['versions']),
        *(('commit', commit or 'unknown') for commit in summary['commits']),
        *(('hardware', hardware) for hardware in summary['hardware']),
        ('written', datetime.now().strftime('%Y-%m-%d %H:%M')),
    ]
