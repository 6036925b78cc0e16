"""Costs of detectors side by side: parameters, FLOPs, latency and training memory."""

from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import nn

from ..config.load import load_config
from ..utils.device import usable_device
from ..utils.flops import count_flops, count_parameters
from .memory import activation_bytes
from .networks import build_network
from .timing import time_interleaved


class Costs(NamedTuple):
    """Costs of a detector's backbone and neck for one image.

    Attributes:
        name: Name of the config.
        parameters: Trainable parameters of the whole detector.
        flops: FLOPs, counted like the published detection tables.
        seconds: Median time of a forward pass in evaluation mode.
        seconds_ratio: Median over the rounds of the time relative to the baseline.
        memory: Activation memory of training in bytes, see :func:`activation_bytes`.
    """

    name: str
    parameters: int
    flops: int
    seconds: float
    seconds_ratio: float
    memory: int


def compare_costs(
    configs: Sequence[str],
    size: Tuple[int, int] = (800, 1280),
    repeats: int = 10,
    device: Optional[str] = None,
    progress: Callable[[str], None] = lambda line: None,
) -> List[Costs]:
    """Measure the detectors of configs side by side; the first is the baseline.

    Args:
        configs: Paths or bare names of configs.
        size: Height and width of the image.
        repeats: Number of rounds, after one for warming up. Each round runs every network once.
        device: A GPU if there is one, by default.
        progress: Called with a line about each step.

    Raises:
        ConfigError: If a config or the device does not exist.
    """
    device = usable_device(device)
    for config in configs:
        load_config(config)  # an unknown one raises before anything is built
    image = torch.randn(1, 3, *size, device=device)
    static, networks = [], []
    for config in configs:
        name = config.replace('\\', '/').split('/')[-1].removesuffix('.py')
        progress(f'building {name}')
        detector = build_network(config, device).module
        network = nn.Sequential(detector.backbone, detector.neck)
        flops = count_flops(network, (3, *size)).detection
        memory = activation_bytes(network.train(), lambda: network(image))  # noqa: B023
        static.append((name, count_parameters(detector), flops, memory))
        networks.append(network.eval())
    with torch.no_grad():
        calls = [lambda network=network: network(image) for network in networks]
        timings = time_interleaved(calls, repeats, device, progress)
    return [
        Costs(name, parameters, flops, timing.median, timing.ratio, memory)
        for (name, parameters, flops, memory), timing in zip(static, timings)
    ]


def format_table(costs: Sequence[Costs]) -> str:
    """Format costs as a Markdown table with differences or ratios to the first."""
    base = costs[0]
    lines = [
        '| Config | Parameters (M) | FLOPs (G) | Latency (ms) | Training memory (MB) |',
        '|---|---:|---:|---:|---:|',
    ]
    for c in costs:
        cells = (
            c.name,
            f'{c.parameters / 1e6:.2f} ({(c.parameters - base.parameters) / 1e6:+.2f})',
            f'{c.flops / 1e9:.2f} ({(c.flops - base.flops) / 1e9:+.2f})',
            f'{c.seconds * 1e3:.1f} (x{c.seconds_ratio:.2f})',
            f'{c.memory / 1e6:.0f} (x{c.memory / base.memory:.2f})',
        )
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)
