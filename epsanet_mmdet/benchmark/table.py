"""Measurements as Markdown and as JSON."""

import json
from typing import Any, Dict, List, Sequence

import torch

from ..utils.environment import processor
from ..version import __version__
from .measurement import Measurement
from .passes import TRAINING
from .work import Work

COLUMNS = (
    *('network', 'ms', 'IQR', 'ratio', 'FLOPs ratio', 'images/s'),
    *('GFLOP/s', 'GB/s', 'activations (MB)', 'peak (MB)'),
)
# Names in files that differ from those of a measurement.
JSON_KEYS = dict(relative_iqr='spread', ratio_iqr='ratio_spread', activation_bytes='saved_bytes')
HEADER = f'| {" | ".join(COLUMNS)} |\n|---|{"---:|" * (len(COLUMNS) - 1)}'


def format_tables(measurements: Sequence[Measurement], peaks: Work) -> str:
    """Format a Markdown table for each task and input; the first row is the baseline.

    Args:
        measurements: Measurements to format.
        peaks: Peak rates of the machine; the tables show the share that each network reaches.
    """
    tables: Dict[tuple, List[str]] = {}
    for m in measurements:
        title = 'Training step' if m.task == TRAINING else 'Inference'
        tables.setdefault((title, m.input), []).append(_row(m, peaks))
    roofline = (
        f'Peaks of this machine: {peaks.flops / 1e9:.0f} GFLOP/s in a matrix product, '
        f'{peaks.bytes / 1e9:.0f} GB/s in a copy.'
    )
    sections = [
        f'{title} at {size}:\n\n{HEADER}\n' + '\n'.join(rows)
        for (title, size), rows in tables.items()
    ]
    return '\n\n'.join([roofline, *sections])


def as_json(measurements: Sequence[Measurement], settings: Dict[str, Any], peaks: Work) -> str:
    """Return measurements as JSON, with the settings and the machine they were made on."""
    results = [
        {JSON_KEYS.get(key, key): value for key, value in m._asdict().items()}
        | dict(input=str(m.input), work=m.work._asdict())
        for m in measurements
    ]
    rates = peaks._asdict()
    return json.dumps(dict(**settings, ceilings_per_second=rates, results=results), indent=1)


def describe_machine(device: torch.device) -> Dict[str, Any]:
    """Return the device (a CPU with its widest instructions), the threads and the versions."""
    cpu = f'{processor()}, {torch.backends.cpu.get_cpu_capability()}'
    return dict(
        device=torch.cuda.get_device_name(device) if device.type == 'cuda' else cpu,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        epsanet_mmdet=__version__,
    )


def _row(m: Measurement, peaks: Work) -> str:
    cells = (
        m.name,
        f'{m.seconds * 1e3:.1f}',
        f'{m.relative_iqr:.0%}',
        f'{m.ratio:.2f} ± {m.ratio_iqr / 2:.2f}',
        f'{m.flops_ratio:.2f}',
        f'{m.images_per_second:.1f}',
        _rate(m.work.flops / m.seconds, peaks.flops),
        _rate(m.work.bytes / m.seconds, peaks.bytes),
        '' if m.activation_bytes is None else f'{m.activation_bytes / 1e6:.0f}',
        f'{m.peak_bytes / 1e6:.0f}',
    )
    return f'| {" | ".join(cells)} |'


def _rate(per_second: float, peak: float) -> str:
    return f'{per_second / 1e9:.1f} ({per_second / peak:.0%})'
