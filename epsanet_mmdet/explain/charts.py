"""Small charts of a page, as numbers for its SVG."""

import math
from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

import numpy as np

from .summary import short_names

WIDTH, HEIGHT = 420, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 64, 10, 26  # margins of the axes
# Visible on white and on black; the dashes distinguish the lines without colour.
COLOURS = ('#3b82f6', '#f08c00', '#12a37f', '#e64980', '#8b5cf6', '#868e96')
DASHES = ('', '7 3', '2 3', '10 3 2 3', '4 2', '1 2')
BINS = 24
GAP = 11  # between labels of lines


@dataclass
class Line:
    """A line of a chart: its label, the place of the label, and its points as SVG."""

    label: str
    height: float
    colour: str
    dash: str
    points: str


@dataclass
class Chart:
    """Weights of the scales over the blocks of a network.

    Args:
        title: Heading.
        lines: A line per scale.
        levels: Marks of the vertical axis: their place and text.
        stages: Marks of the horizontal axis: their place and text.
    """

    title: str
    lines: List[Line]
    levels: List[Tuple[float, str]]
    stages: List[Tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def scale_limits(branches: int) -> Tuple[float, float]:
    """Return the least and the greatest weight that a softmax of that many sigmoids can be."""
    return 1 / (1 + (branches - 1) * math.e), math.e / (math.e + branches - 1)


def scale_chart(
    title: str, weights: Dict[str, np.ndarray], labels: Sequence[str], span: Tuple[float, float]
) -> Chart:
    """Return a chart of the weights of the scales.

    Args:
        title: Heading.
        weights: Weights (scales,) by layer, in the order of the network.
        labels: Label of each scale.
        span: Limits of the vertical axis.
    """

    def y(weight: float) -> float:
        share = (weight - span[0]) / (span[1] - span[0])
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    values = np.array(list(weights.values()))
    xs = np.linspace(LEFT, WIDTH - RIGHT, len(values)).round(1) if len(values) > 1 else [LEFT]
    heights = _apart([y(value) for value in values[-1]])
    lines = [
        Line(
            label,
            heights[i],
            COLOURS[i % len(COLOURS)],
            DASHES[i % len(DASHES)],
            ' '.join(f'{x:g},{y(value):g}' for x, value in zip(xs, values[:, i])),
        )
        for i, label in enumerate(labels)
    ]
    levels = [(y(level), f'{level:.2f}') for level in (span[0], 1 / len(labels), span[1])]
    stages: List[Tuple[float, str]] = []
    for x, name in zip(xs, short_names(list(weights))):
        stage = name.partition('.')[0]
        if stage not in [known for _, known in stages]:
            stages.append((float(x), stage))
    return Chart(title, lines, levels, stages)


def histogram(values: np.ndarray, end: float) -> List[float]:
    """Return the heights of bins from 0 to ``end``, of which the highest is 1."""
    counts = np.histogram(values, bins=BINS, range=(0, end))[0]
    return (counts / max(1, counts.max())).round(3).tolist()


def _apart(heights: Sequence[float]) -> List[float]:
    """Return the heights of labels moved so that none covers another or leaves the chart."""
    moved = list(heights)
    order = sorted(range(len(moved)), key=lambda i: moved[i])
    free = -math.inf
    for i in order:
        moved[i] = max(moved[i], free)
        free = moved[i] + GAP
    free = HEIGHT - BOTTOM
    for i in reversed(order):
        moved[i] = min(moved[i], free)
        free = moved[i] - GAP
    return moved
