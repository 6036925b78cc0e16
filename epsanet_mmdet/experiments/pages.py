"""The page of a plan, and its plots as files."""

import re
from datetime import datetime
from typing import Any, Dict, List, Tuple

from ..errors import DataError
from ..evaluation.comparing import TestedRun, comparison_page, plotted_rows
from ..evaluation.metrics import KIND_NAMES
from ..evaluation.plots import plot_rows, save_plot
from .files import write_text
from .fingerprint import short_hash
from .job import Job, result_files
from .run import PreparedPlan


def write_page(prepared: PreparedPlan, summary: Dict[str, Any]) -> None:
    """Write ``report.html``, and the plots of AP as ``plots/*.svg`` and ``plots/*.png``.

    Args:
        prepared: The plan.
        summary: See :func:`epsanet_mmdet.experiments.table.summarise`.

    Raises:
        DataError: If results cannot be read, or files not be written.
    """
    done = [job for job in prepared.jobs if job.result]
    runs = [
        TestedRun(
            job.row.name,
            job.seed,
            job.config,
            result_files(job.folder / 'test'),
            str(job.folder / 'train'),
        )
        for job in done
    ]
    page = comparison_page(
        summary,
        runs,
        facts=_facts(prepared, summary),
        jobs=[_job(job) for job in prepared.jobs],
        pictures=prepared.plan.report.pictures,
        score_thr=prepared.plan.report.score_thr,
    )
    write_text(prepared.work_dir / 'report.html', page)
    _write_plots(prepared, summary)


def _write_plots(prepared: PreparedPlan, summary: Dict[str, Any]) -> None:
    folder = prepared.work_dir / 'plots'
    for number, comparison in enumerate(summary['comparisons'], 1):
        name = re.sub(r'\W+', '-', comparison['name'].lower()).strip('-') or f'{number}'
        prefix = f'{name}-' if len(summary['comparisons']) > 1 else ''
        for kind, title in KIND_NAMES.items():
            values, published = plotted_rows(comparison, kind)
            for suffix in ('svg', 'png') if values else ():
                path = folder / f'{prefix}{title}-ap.{suffix}'
                try:
                    folder.mkdir(exist_ok=True)
                    save_plot(plot_rows, path, values, published)
                except OSError as error:
                    raise DataError(f"'{path}' cannot be written: {error.strerror}")


def _job(job: Job) -> Dict[str, Any]:
    result, seconds = job.result, job.seconds()
    metrics = (result or {}).get('metrics', {})
    return dict(
        label=job.row.label,
        seed=job.seed,
        state='done' if result else 'begun' if seconds else 'to do',
        settings=short_hash(job.settings),
        train=seconds.get('train'),
        test=seconds.get('test'),
        **{kind: (metrics.get(kind) or {}).get('AP') for kind in KIND_NAMES},
    )


def _facts(prepared: PreparedPlan, summary: Dict[str, Any]) -> List[Tuple[str, str]]:
    plan, job = prepared.plan, prepared.jobs[0]
    config, data = job.config, job.settings['data']
    optimizer = config.optim_wrapper.get('optimizer', {})
    epochs, steps = (config.train_cfg.get(key) for key in ('max_epochs', 'max_iters'))
    facts = [
        ('plan', plan.name),
        ('seeds', ', '.join(map(str, plan.seeds))),
        ('training images', f'{data["train"]["images"]}'),
        ('test images', f'{data["test"]["images"]}'),
        ('schedule', f'{epochs} epochs' if epochs else f'{steps} steps'),
        (
            'images a step',
            f'{plan.launcher.gpus} x {config.train_dataloader.get("batch_size", 1)}',
        ),
        ('optimizer', ', '.join(f'{k} {v}' for k, v in optimizer.items())),
        ('weights', plan.weights or "the configs'"),
        ('overrides', ', '.join(f'{k}={v}' for k, v in plan.overrides.items()) or 'none'),
    ]
    for versions in summary['versions']:
        facts.append(('versions', ', '.join(f'{n} {v}' for n, v in versions.items())))
    facts += [('commit', commit or 'unknown') for commit in summary['commits']]
    facts += [('hardware', hardware) for hardware in summary['hardware']]
    return [*facts, ('written', datetime.now().strftime('%Y-%m-%d %H:%M'))]
