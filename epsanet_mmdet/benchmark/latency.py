"""What networks cost in time and training memory, measured side by side."""

from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import nn

from ..config.build import build_without_weights
from ..config.load import load_config
from ..utils.device import usable_device
from ..utils.flops import count_flops, count_parameters
from . import saved_bytes, time_interleaved


class Costs(NamedTuple):
    """Costs of a detector's backbone and neck, for one image.

    Attributes:
        name: Name of the config.
        parameters: Trainable parameters of the whole detector.
        flops: FLOPs as the published detection tables count them.
        seconds: Median time of a forward pass in evaluation.
        seconds_ratio: Median, over the rounds, of the time over the baseline's in that round.
        memory: Bytes that a forward pass in training keeps for the backward pass.
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
    """Measure configs side by side; the first is the baseline.

    Every round times each network once, so that a change of the machine's speed meets all.

    Args:
        configs: Paths or bare names of configs.
        size: Height and width of the image.
        repeats: Number of rounds, after one that does not count.
        device: A GPU if there is one.
        progress: Called with a line on what is being done.

    Raises:
        ConfigError: If there is no such config or device.
    """
    device = usable_device(device)
    loaded = [load_config(config) for config in configs]
    image = torch.randn(1, 3, *size, device=device)
    names = [_name(config) for config in configs]
    parameters, flops, memory, networks = [], [], [], []
    for name, config in zip(names, loaded):
        progress(f'building {name}')
        detector = build_without_weights(config.model)
        network = nn.Sequential(detector.backbone, detector.neck).to(device)
        parameters.append(count_parameters(detector))
        flops.append(count_flops(network, (3, *size)).detection)
        memory.append(saved_bytes(network.train(), lambda: network(image)))  # noqa: B023
        networks.append(network.eval())

    with torch.no_grad():
        calls = [lambda network=network: network(image) for network in networks]
        timings = time_interleaved(calls, repeats, device, progress)
    return [
        Costs(name, parameters[i], flops[i], timing.median, timing.ratio, memory[i])
        for i, (name, timing) in enumerate(zip(names, timings))
    ]


def format_table(costs: Sequence[Costs]) -> str:
    """Write costs as a Markdown table, each with its ratio to the first."""
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


def _name(config: str) -> str:
    return config.replace('\\', '/').split('/')[-1].removesuffix('.py')
