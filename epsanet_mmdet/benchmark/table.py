"""Measurements as Markdown and as JSON."""

import json
from typing import Any, Callable, Dict, List, Sequence, Tuple

from .gpu_time import PROFILER
from .measurement import LAUNCH_BOUND, Measurement
from .passes import TRAINING
from .work import Work

# Names in files that differ from those of a measurement.
JSON_KEYS = dict(
    relative_iqr='spread',
    ratio_iqr='ratio_spread',
    activation_bytes='saved_bytes',
    peer_ratio_iqr='peer_ratio_spread',
)
Column = Callable[[Measurement], str]


def format_tables(measurements: Sequence[Measurement], peaks: Work, precision: str = 'fp32') -> str:
    """Format a Markdown table for each task and input; the first row is the baseline.

    Columns without any entry are left out.

    Args:
        measurements: Measurements to format.
        peaks: Peak rates of the machine; the tables show the share that each network reaches.
        precision: Precision of the matrix product whose rate is a peak.
    """
    tables: Dict[tuple, List[Measurement]] = {}
    for m in measurements:
        title = 'Training step' if m.task == TRAINING else 'Inference'
        tables.setdefault((title, m.input), []).append(m)
    (per_flop, flop_unit), (per_byte, byte_unit) = map(_unit, peaks)
    roofline = (
        f'Peaks of this machine: {_three_digits(peaks.flops / per_flop)} {flop_unit}FLOP/s in a '
        f'product of {precision} matrices, {_three_digits(peaks.bytes / per_byte)} {byte_unit}B/s '
        'in a copy.'
    )
    columns = _columns(peaks)
    sections = [
        f'{title} at {size}:\n\n{_table(columns, rows)}' for (title, size), rows in tables.items()
    ]
    return '\n\n'.join([roofline, *sections])


def as_json(measurements: Sequence[Measurement], settings: Dict[str, Any], peaks: Work) -> str:
    """Return measurements as JSON, with the settings and the machine they were made on."""
    results = [
        {JSON_KEYS.get(key, key): value for key, value in m._asdict().items()}
        | dict(input=str(m.input), work=m.work._asdict(), launch_bound=m.launch_bound)
        for m in measurements
    ]
    rates = peaks._asdict()
    return json.dumps(dict(**settings, ceilings_per_second=rates, results=results), indent=1)


def _columns(peaks: Work) -> Dict[str, Column]:
    (per_flop, flop_unit), (per_byte, byte_unit) = map(_unit, peaks)

    def rate(work: float, seconds: float, scale: float, peak: float) -> str:
        per_second = work / seconds
        return f'{per_second / scale:.{1 if scale < 1e12 else 2}f} ({per_second / peak:.0%})'

    return {
        'network': lambda m: m.name,
        'ms': lambda m: _milliseconds(m.seconds),
        'IQR': lambda m: f'{m.relative_iqr:.0%}',
        'GPU ms': _gpu_time,
        'ratio': lambda m: f'{m.ratio:.2f} ± {m.ratio_iqr / 2:.2f}',
        'like for like': _peer_ratio,
        'FLOPs ratio': lambda m: f'{m.flops_ratio:.2f}',
        'images/s': lambda m: f'{m.images_per_second:.1f}',
        f'{flop_unit}FLOP/s': lambda m: rate(m.work.flops, m.seconds, per_flop, peaks.flops),
        f'{byte_unit}B/s': lambda m: rate(m.work.bytes, m.seconds, per_byte, peaks.bytes),
        'activations (MB)': lambda m: (
            '' if m.activation_bytes is None else f'{m.activation_bytes / 1e6:.0f}'
        ),
        'peak (MB)': lambda m: f'{m.peak_bytes / 1e6:.0f}',
    }


def _table(columns: Dict[str, Column], rows: Sequence[Measurement]) -> str:
    cells = {title: [cell(m) for m in rows] for title, cell in columns.items()}
    if all(m.peer in (None, rows[0].name) for m in rows):
        del cells['like for like']  # which repeats the ratio
    filled = [title for title in cells if any(cells[title])]
    lines = [filled, ['---', *['---:'] * (len(filled) - 1)]]
    lines += zip(*(cells[title] for title in filled))
    notes = [f'{m.name} {m.gpu_note}.' for m in rows if m.gpu_note]
    if 'GPU ms' in filled:
        notes.insert(0, f'Launch-bound: more than {LAUNCH_BOUND:g} times the GPU ms.')
    table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    return '\n\n'.join([table, '\n'.join(notes)]) if notes else table


def _gpu_time(m: Measurement) -> str:
    if m.gpu_seconds is None:
        return ''
    marks = [PROFILER] * (m.gpu_source == PROFILER) + ['launch-bound'] * m.launch_bound
    return _milliseconds(m.gpu_seconds) + (f' ({", ".join(marks)})' if marks else '')


def _peer_ratio(m: Measurement) -> str:
    return '' if m.peer is None else f'{m.peer_ratio:.2f} ± {m.peer_ratio_iqr / 2:.2f}'


def _milliseconds(seconds: float) -> str:
    return f'{seconds * 1e3:.{1 if seconds >= 0.01 else 2}f}'


def _unit(peak: float) -> Tuple[float, str]:
    return (1e12, 'T') if peak >= 1e12 else (1e9, 'G')


def _three_digits(value: float) -> str:
    return f'{value:.0f}' if value >= 100 else f'{value:.3g}'
