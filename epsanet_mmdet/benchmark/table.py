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
    *('network', 'ms', 'spread', 'ratio', 'FLOPs ratio', 'images/s'),
    *('GFLOP/s', 'GB/s', 'saved (MB)', 'peak (MB)'),
)
HEADER = f'| {" | ".join(COLUMNS)} |\n|---|{"---:|" * (len(COLUMNS) - 1)}'


def format_tables(measurements: Sequence[Measurement], ceilings: Work) -> str:
    """Write a Markdown table for each task and input; the first row is the baseline.

    Args:
        measurements: What to write.
        ceilings: What the machine does in a second at most, of which shares are given.
    """
    tables: Dict[tuple, List[str]] = {}
    for m in measurements:
        title = 'Training step' if m.task == TRAINING else 'Inference'
        tables.setdefault((title, m.input), []).append(_row(m, ceilings))
    most = (
        f'The most seen here: {ceilings.flops / 1e9:.0f} GFLOP/s in a product of matrices, '
        f'{ceilings.bytes / 1e9:.0f} GB/s in a copy.'
    )
    sections = [
        f'{title} at {size}:\n\n{HEADER}\n' + '\n'.join(rows)
        for (title, size), rows in tables.items()
    ]
    return '\n\n'.join([most, *sections])


def as_json(measurements: Sequence[Measurement], settings: Dict[str, Any], ceilings: Work) -> str:
    """Write measurements with the settings and machine that they were made with."""
    results = [
        {**m._asdict(), 'input': str(m.input), 'work': m.work._asdict()} for m in measurements
    ]
    per_second = ceilings._asdict()
    return json.dumps(dict(**settings, ceilings_per_second=per_second, results=results), indent=1)


def describe_machine(device: torch.device) -> Dict[str, Any]:
    """Return the device (a CPU with its widest instructions), the threads and the versions."""
    cpu = f'{processor()}, {torch.backends.cpu.get_cpu_capability()}'
    return dict(
        device=torch.cuda.get_device_name(device) if device.type == 'cuda' else cpu,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        epsanet_mmdet=__version__,
    )


def _row(m: Measurement, ceilings: Work) -> str:
    cells = (
        m.name,
        f'{m.seconds * 1e3:.1f}',
        f'{m.spread:.0%}',
        f'{m.ratio:.2f} ± {m.ratio_spread / 2:.2f}',
        f'{m.flops_ratio:.2f}',
        f'{m.images_per_second:.1f}',
        _rate(m.work.flops / m.seconds, ceilings.flops),
        _rate(m.work.bytes / m.seconds, ceilings.bytes),
        '' if m.saved_bytes is None else f'{m.saved_bytes / 1e6:.0f}',
        f'{m.peak_bytes / 1e6:.0f}',
    )
    return f'| {" | ".join(cells)} |'


def _rate(per_second: float, ceiling: float) -> str:
    return f'{per_second / 1e9:.1f} ({per_second / ceiling:.0%})'
