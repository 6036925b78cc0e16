"""The table of a plan: means over seeds, and differences to the baseline and to publications."""

import csv
import io
import statistics
from typing import Any, Dict, List, Optional

from ..evaluation.metrics import IOU_TYPES, SUMMARY
from ..evaluation.seeds import paired_difference, spread
from ..evaluation.training_log import read_iteration_seconds, read_test_seconds
from ..utils.environment import versions
from ..utils.page import hours, percent
from ..utils.storage import write_json, write_whole
from ..utils.text import csv_row
from .job import Job
from .plan import Variant
from .prepare import PreparedPlan
from .published import published_results

METRICS = SUMMARY[:6]  # the average precisions
COSTS = ('parameters', 'flops', 'seconds', 'iteration_seconds', 'image_seconds')


def summarise(prepared: PreparedPlan) -> Dict[str, Any]:
    """Collect the results of the finished jobs, as ``table.json`` stores them.

    Returns:
        AP from 0 to 1 and times in seconds. Deviations are those of the sample, and differences to
        the baseline have the ends of their 95 % confidence intervals; both are None for a single
        seed.
    """
    results = {(job.variant.name, job.seed): job.result for job in prepared.jobs}
    done = [result for result in results.values() if result]
    comparisons = []
    for comparison, notes in zip(prepared.plan.comparisons, prepared.notes):
        rows = [_summarise_variant(prepared, v, results) for v in comparison.variants]
        base = next(row for row in rows if row['name'] == comparison.baseline)
        for row in rows:
            row['to_baseline'] = None if row is base else _to_baseline(row, base)
        notes = [f'Variants differ: {note}' for note in notes]
        comparisons.append(
            dict(name=comparison.name, baseline=comparison.baseline, rows=rows, notes=notes)
        )
    return dict(
        title=prepared.plan.title,
        seeds=prepared.plan.seeds,
        jobs=len(results),
        done=len(done),
        comparisons=comparisons,
        versions=_distinct([result['versions'] for result in done]) or [versions()],
        commits=_distinct([result['commit'] for result in done]),
        hardware=_distinct([f'{r["processes"]} x {r["hardware"]}' for r in done]),
    )


def _summarise_variant(prepared: PreparedPlan, variant: Variant, results: Dict) -> Dict[str, Any]:
    own = {seed: results[variant.name, seed] for seed in prepared.plan.seeds}
    own = {seed: result for seed, result in own.items() if result}
    figures: Dict[str, Dict] = {}
    for iou_type in IOU_TYPES:
        measured = [r['metrics'][iou_type] for r in own.values() if iou_type in r['metrics']]
        if measured:
            figures[iou_type] = {name: spread([m[name] for m in measured]) for name in METRICS}
    published = published_results(variant.published) if variant.published else None
    jobs = [job for job in prepared.jobs if job.variant is variant and job.result]
    costs = prepared.costs[variant.name]
    times = [t for job in jobs for t in read_iteration_seconds(job.folder / 'train')]
    tests = [seconds for seconds in map(_image_seconds, jobs) if seconds]
    return dict(
        name=variant.name,
        label=variant.label,
        config=prepared.plan.config_of(variant),
        seeds=list(own),
        figures=figures,
        published=published,
        to_published=_to_published(figures, published or {}),
        parameters=costs.parameters,
        flops=costs.flops,
        seconds=statistics.mean(sum(job.seconds.values()) for job in jobs) if jobs else None,
        iteration_seconds=statistics.median(times) if times else None,
        image_seconds=statistics.median(tests) if tests else None,
    )


def _image_seconds(job: Job) -> Optional[float]:
    seconds = read_test_seconds(job.folder / 'test')
    return seconds and seconds / job.config.test_dataloader.get('batch_size', 1)


def _to_baseline(row: Dict, base: Dict) -> Dict[str, Dict[str, Optional[Dict]]]:
    return {
        iou_type: {
            name: paired_difference(*(_by_seed(r, iou_type, name) for r in (row, base)))
            for name in METRICS
        }
        for iou_type in row['figures']
        if iou_type in base['figures']
    }


def _by_seed(row: Dict, iou_type: str, name: str) -> Dict[int, float]:
    return dict(zip(row['seeds'], (row['figures'][iou_type][name] or {}).get('values', ())))


def _to_published(figures: Dict, published: Dict) -> Dict[str, Dict[str, Optional[float]]]:
    return {
        iou_type: {
            name: own[name]['mean'] - published[iou_type][name]
            if own[name] and published[iou_type][name] is not None
            else None
            for name in METRICS
        }
        for iou_type, own in figures.items()
        if iou_type in published
    }


def _distinct(values: List) -> List:
    return [value for i, value in enumerate(values) if value not in values[:i]]


def to_markdown(summary: Dict[str, Any]) -> str:
    """Format a summary as Markdown: box and mask AP of each comparison, versions and hardware."""
    lines = [f'# {summary["title"]}', '']
    seeds = ', '.join(map(str, summary['seeds']))
    lines += [f'{summary["done"]} of {summary["jobs"]} jobs done, seeds {seeds}.', '']
    for comparison in summary['comparisons']:
        if comparison['name']:
            lines += [f'## {comparison["name"]}', '']
        for iou_type, name in IOU_TYPES.items():
            if any(iou_type in row['figures'] for row in comparison['rows']):
                lines += [*_markdown_results(comparison, iou_type, name), '']
        lines += [*_markdown_costs(comparison), '']
        lines += [f'- {note}' for note in comparison['notes']]
        lines += [''] if comparison['notes'] else []
    lines += [
        'AP in percent on the test images, mean ± sample standard deviation over seeds. Δ AP is '
        'the difference to the baseline over the seeds that both have: its mean and 95 % '
        'confidence interval (Student). Parameters are the trainable ones. FLOPs are those of the '
        'backbone and neck for a 3x800x1280 image. Times include training, test and all restarts; '
        'the time per iteration is the median of the training logs, the time per image that of the '
        'tests, without loading.',
        '',
    ]
    for packages in summary['versions']:
        lines.append('- versions: ' + ', '.join(f'{n} {v}' for n, v in packages.items()))
    for key, values in (('commit', summary['commits']), ('hardware', summary['hardware'])):
        lines += [f'- {key}: {value or "unknown"}' for value in values]
    return '\n'.join(lines) + '\n'


def _markdown_results(comparison: Dict, iou_type: str, name: str) -> List[str]:
    head = [f'{name}, by backbone', *METRICS, 'Δ AP', 'published AP', 'Δ published', 'seeds']
    lines = [f'| {" | ".join(head)} |', '|---|' + '---:|' * (len(head) - 1)]
    for row in comparison['rows']:
        is_base = row['name'] == comparison['baseline']
        cells = [
            row['label'].replace('|', '\\|'),
            *(percent(row['figures'].get(iou_type, {}).get(metric)) for metric in METRICS),
            'baseline' if is_base else percent(_ap(row, 'to_baseline', iou_type), signed=True),
            percent(_ap(row, 'published', iou_type)),
            percent(_ap(row, 'to_published', iou_type), signed=True),
            str(len(row['seeds'])),
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def _markdown_costs(comparison: Dict) -> List[str]:
    lines = [
        '| cost, by backbone | parameters (M) | FLOPs (G) | time | time per iteration (s) | '
        'time per image (s) |',
        '|---|---:|---:|---:|---:|---:|',
    ]
    for row in comparison['rows']:
        parameters, flops = f'{row["parameters"] / 1e6:.2f}', f'{row["flops"] / 1e9:.2f}'
        times = [row['iteration_seconds'], row['image_seconds']]
        cells = [
            row['label'].replace('|', '\\|'),
            *(parameters, flops, hours(row['seconds'])),
            *('–' if seconds is None else f'{seconds:.3f}' for seconds in times),
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def to_csv(summary: Dict[str, Any]) -> str:
    """Format a summary as CSV: a line for each variant, AP in percent, unrounded."""
    lines = [_csv_line(c['name'], row) for c in summary['comparisons'] for row in c['rows']]
    with io.StringIO() as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(lines[0])
        writer.writerows(csv_row(line.values()) for line in lines)
        return file.getvalue()


def _csv_line(comparison: str, row: Dict) -> Dict[str, Any]:
    line = dict(comparison=comparison, row=row['name'], label=row['label'])
    line.update(config=row['config'], seeds=' '.join(map(str, row['seeds'])))
    for iou_type, title in IOU_TYPES.items():
        for name in METRICS:
            figure = row['figures'].get(iou_type, {}).get(name) or {}
            line[f'{title} {name}'] = _percentage(figure.get('mean'))
            line[f'{title} {name} deviation'] = _percentage(figure.get('deviation'))
        to_baseline = _ap(row, 'to_baseline', iou_type) or {}
        for key, suffix in dict(mean='', low=' low', high=' high').items():
            line[f'{title} AP to baseline{suffix}'] = _percentage(to_baseline.get(key))
        line[f'{title} AP published'] = _percentage(_ap(row, 'published', iou_type))
        line[f'{title} AP to published'] = _percentage(_ap(row, 'to_published', iou_type))
    return {**line, **{key: row[key] for key in COSTS}}


def _ap(row: Dict, figures: str, iou_type: str) -> Any:
    return ((row[figures] or {}).get(iou_type) or {}).get('AP')


def _percentage(share: Optional[float]) -> Any:
    return '' if share is None else round(100 * share, 6)


def write_tables(prepared: PreparedPlan) -> Dict[str, Any]:
    """Write ``table.md``, ``table.csv`` and ``table.json`` to the output folder.

    Returns:
        See :func:`summarise`.

    Raises:
        StorageError: If they cannot be written.
    """
    summary = summarise(prepared)
    write_json(summary, prepared.work_dir / 'table.json')
    write_whole(to_csv(summary), prepared.work_dir / 'table.csv')
    write_whole(to_markdown(summary), prepared.work_dir / 'table.md')
    return summary
