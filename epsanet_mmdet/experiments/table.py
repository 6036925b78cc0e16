"""The table of a plan: means over seeds, and differences to baseline and published figures."""

import csv
import io
import statistics
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ..evaluation.metrics import KIND_NAMES, SUMMARY
from ..utils.environment import versions
from ..utils.page import hours, percent
from ..utils.text import csv_row
from .files import write_json, write_text
from .plan import Comparison, Row
from .published import published_row

if TYPE_CHECKING:
    from .run import PreparedPlan

FIGURES = SUMMARY[:6]  # the average precisions


def summarise(prepared: 'PreparedPlan') -> Dict[str, Any]:
    """Collect what the jobs measured so far, for the table in each of its forms.

    AP is 0 to 1, times are seconds. Deviations are the sample's, None for a single seed.
    """
    results = {(job.row.name, job.seed): job.result for job in prepared.jobs}
    done = [result for result in results.values() if result]
    comparisons = []
    for comparison in prepared.plan.comparisons:
        rows = [_row(prepared, row, results) for row in comparison.rows]
        base = next(row for row in rows if row['name'] == comparison.baseline)
        for row in rows:
            row['to_baseline'] = None if row is base else _difference(row, base)
        comparisons.append(
            dict(
                name=comparison.name,
                baseline=comparison.baseline,
                rows=rows,
                notes=_notes(prepared, comparison),
            )
        )
    return dict(
        title=prepared.plan.title,
        seeds=prepared.plan.seeds,
        jobs=len(results),
        done=len(done),
        comparisons=comparisons,
        versions=_distinct(result['versions'] for result in done) or [versions()],
        commits=_distinct(result['commit'] for result in done),
        hardware=_distinct(f'{r["processes"]} x {r["hardware"]}' for r in done),
    )


def _row(prepared: 'PreparedPlan', row: Row, results: Dict) -> Dict[str, Any]:
    own = {seed: results[row.name, seed] for seed in prepared.plan.seeds}
    done = [result for result in own.values() if result]
    jobs = [job for job in prepared.jobs if job.row is row and job.result]
    figures: Dict[str, Dict] = {}
    for kind in KIND_NAMES:
        measured = [result['metrics'][kind] for result in done if kind in result['metrics']]
        if measured:
            figures[kind] = {name: _spread([m[name] for m in measured]) for name in FIGURES}
    costs = prepared.costs[row.name]
    published = published_row(row.published) if row.published else None
    seconds = [sum(job.seconds().values()) for job in jobs]
    return dict(
        name=row.name,
        label=row.label,
        config=row.config,
        seeds=[seed for seed, result in own.items() if result],
        figures=figures,
        published=published,
        to_published=_to_published(figures, published),
        parameters=costs.parameters,
        flops=costs.flops,
        seconds=statistics.mean(seconds) if seconds else None,
    )


def _spread(values: List[Optional[float]]) -> Optional[Dict[str, Optional[float]]]:
    if not values or any(value is None for value in values):
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return dict(mean=statistics.mean(values), deviation=deviation, values=values)


def _difference(row: Dict, base: Dict) -> Dict[str, Dict[str, Optional[Dict]]]:
    """Compare two rows seed by seed, over the seeds that both have."""
    both = [seed for seed in row['seeds'] if seed in base['seeds']]
    found: Dict[str, Dict] = {}
    for kind in row['figures']:
        if kind not in base['figures']:
            continue
        found[kind] = {}
        for name in FIGURES:
            ours, others = row['figures'][kind][name], base['figures'][kind][name]
            values = None
            if ours and others and both:
                own = dict(zip(row['seeds'], ours['values']))
                other = dict(zip(base['seeds'], others['values']))
                values = _spread([own[seed] - other[seed] for seed in both])
            found[kind][name] = values
    return found


def _to_published(figures: Dict, published: Optional[Dict]) -> Dict[str, Dict]:
    if not published:
        return {}
    return {
        kind: {
            name: figures[kind][name]['mean'] - published[kind][name]
            if figures[kind][name] and published[kind][name] is not None
            else None
            for name in FIGURES
        }
        for kind in figures
        if kind in published
    }


def _notes(prepared: 'PreparedPlan', comparison: Comparison) -> List[str]:
    return [f'Rows differ: {note}' for note in prepared.notes[comparison.name]]


def _distinct(values) -> List:
    found: List = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def to_markdown(summary: Dict[str, Any]) -> str:
    """Write a summary as Markdown: box and mask AP for each comparison, and what it ran on."""
    lines = [f'# {summary["title"]}', '']
    seeds = ', '.join(map(str, summary['seeds']))
    lines += [f'{summary["done"]} of {summary["jobs"]} jobs done, seeds {seeds}.', '']
    for comparison in summary['comparisons']:
        if comparison['name']:
            lines += [f'## {comparison["name"]}', '']
        for kind, name in KIND_NAMES.items():
            if any(kind in row['figures'] for row in comparison['rows']):
                lines += [*_markdown_table(comparison, kind, name), '']
        lines += [*_markdown_costs(comparison), '']
        lines += [f'- {note}' for note in comparison['notes']]
        lines += [''] if comparison['notes'] else []
    lines += [
        'AP in percent on the test images, mean ± sample deviation over seeds; Δ: difference to '
        'the baseline, over the seeds that both have, and to the published figure. Parameters '
        'are the trainable ones; FLOPs are those of backbone and neck for an image of 3x800x1280. '
        'Time is that of training and test, all restarts included.',
        '',
    ]
    for versions_ in summary['versions']:
        lines.append('- versions: ' + ', '.join(f'{n} {v}' for n, v in versions_.items()))
    for key, values in (('commit', summary['commits']), ('hardware', summary['hardware'])):
        lines += [f'- {key}: {value or "unknown"}' for value in values]
    return '\n'.join(lines) + '\n'


def _markdown_table(comparison: Dict, kind: str, name: str) -> List[str]:
    head = [f'{name}, by backbone', *FIGURES, 'Δ AP', 'published AP', 'Δ published', 'seeds']
    lines = [f'| {" | ".join(head)} |', '|---|' + '---:|' * (len(head) - 1)]
    for row in comparison['rows']:
        figures = row['figures'].get(kind, {})
        against = ((row['to_baseline'] or {}).get(kind) or {}).get('AP')
        published = (row['published'] or {}).get(kind) or {}
        cells = [
            _label(row, comparison),
            *(percent(figures.get(figure)) for figure in FIGURES),
            'baseline' if row['name'] == comparison['baseline'] else percent(against, signed=True),
            percent(published.get('AP')),
            percent((row['to_published'].get(kind) or {}).get('AP'), signed=True),
            str(len(row['seeds'])),
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def _label(row: Dict, comparison: Dict) -> str:
    return row['label'].replace('|', '\\|')


def _markdown_costs(comparison: Dict) -> List[str]:
    lines = ['| cost, by backbone | parameters (M) | FLOPs (G) | time |', '|---|---:|---:|---:|']
    for row in comparison['rows']:
        cells = [
            _label(row, comparison),
            f'{row["parameters"] / 1e6:.2f}',
            f'{row["flops"] / 1e9:.2f}',
            hours(row['seconds']),
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def to_csv(summary: Dict[str, Any]) -> str:
    """Write a summary as CSV: a line for each row, AP in percent, unrounded."""
    columns = ['comparison', 'row', 'label', 'config', 'seeds']
    for kind in KIND_NAMES.values():
        for name in FIGURES:
            columns += [f'{kind} {name}', f'{kind} {name} deviation']
        columns += [f'{kind} AP to baseline', f'{kind} AP published', f'{kind} AP to published']
    columns += ['parameters', 'flops', 'seconds']
    with io.StringIO() as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(columns)
        for comparison in summary['comparisons']:
            rows = (_csv_row(comparison, row) for row in comparison['rows'])
            writer.writerows(csv_row(map(row.get, columns)) for row in rows)
        return file.getvalue()


def _csv_row(comparison: Dict, row: Dict) -> Dict[str, Any]:
    line = dict(comparison=comparison['name'], row=row['name'], label=row['label'])
    line.update(config=row['config'], seeds=' '.join(map(str, row['seeds'])))
    for kind, title in KIND_NAMES.items():
        for name in FIGURES:
            spread = row['figures'].get(kind, {}).get(name) or {}
            line[f'{title} {name}'] = _percentage(spread.get('mean'))
            line[f'{title} {name} deviation'] = _percentage(spread.get('deviation'))
        against = ((row['to_baseline'] or {}).get(kind) or {}).get('AP') or {}
        line[f'{title} AP to baseline'] = _percentage(against.get('mean'))
        published = (row['published'] or {}).get(kind) or {}
        line[f'{title} AP published'] = _percentage(published.get('AP'))
        line[f'{title} AP to published'] = _percentage(
            (row['to_published'].get(kind) or {}).get('AP')
        )
    return {**line, **{key: row[key] for key in ('parameters', 'flops', 'seconds')}}


def _percentage(share: Optional[float]) -> Any:
    return '' if share is None else round(100 * share, 6)


def write_tables(prepared: 'PreparedPlan') -> Dict[str, Any]:
    """Write ``table.md``, ``table.csv`` and ``table.json`` into the plan's folder.

    Returns:
        What they show; see :func:`summarise`.

    Raises:
        DataError: If they cannot be written.
    """
    summary = summarise(prepared)
    write_json(prepared.work_dir / 'table.json', summary)
    write_text(prepared.work_dir / 'table.csv', to_csv(summary))
    write_text(prepared.work_dir / 'table.md', to_markdown(summary))
    return summary
