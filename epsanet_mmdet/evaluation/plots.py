"""Plots of a report, as SVG in data URIs or as files."""

import base64
import functools
import io
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import matplotlib
import numpy as np
from matplotlib.figure import Figure

Curves = Union[Dict[float, float], List[Dict[float, float]]]

# Distinguishable with any colour vision (Okabe and Ito).
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
CELLS = 12  # classes whose counts fit into a matrix at most
STYLE = {
    'axes.grid': True,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'font.family': 'sans-serif',
    'font.size': 9,
    'grid.alpha': 0.25,
    'legend.frameon': False,
    'svg.fonttype': 'none',  # text stays text: small, and in any script
    'svg.hashsalt': 'report',
    'text.parse_math': False,  # a class may be called $
}


def plot(draw: Callable[..., Figure]) -> Callable[..., str]:
    """Make a function that draws a figure return it as a data URI."""

    @functools.wraps(draw)
    def to_uri(*args, **kwargs) -> str:
        with matplotlib.rc_context(STYLE), io.BytesIO() as file:
            draw(*args, **kwargs).savefig(file, format='svg', metadata={'Date': None})
            return 'data:image/svg+xml;base64,' + base64.b64encode(file.getvalue()).decode()

    return to_uri


def save_plot(draw: Callable[..., str], path: Path, *args, **kwargs) -> None:
    """Draw with one of the functions below into a PNG or SVG file.

    Raises:
        OSError: If it cannot be written.
    """
    with matplotlib.rc_context(STYLE):
        figure = draw.__wrapped__(*args, **kwargs)
        metadata = {'Date': None} if path.suffix == '.svg' else None
        figure.savefig(path, dpi=150, metadata=metadata)


@plot
def plot_curves(
    curves: Dict[str, Curves],
    xlabel: str,
    ylabel: str,
    bold: Sequence[str] = (),
    ylim: Optional[Tuple[float, float]] = None,
) -> Figure:
    """Draw curves.

    Args:
        curves: The curve of each name, y by x, or several curves that share a name.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        bold: Names of curves to emphasise.
        ylim: Limits of the y axis.
    """
    figure, axes = _axes()
    for i, (name, lines) in enumerate(curves.items()):
        stressed = not bold or name in bold
        for k, values in enumerate([lines] if isinstance(lines, dict) else lines):
            axes.plot(
                list(values),
                list(values.values()),
                label='_' if k else _visible(name),
                color=COLOURS[i % len(COLOURS)],
                linestyle='-' if i < len(COLOURS) else '--',
                linewidth=2 if stressed and isinstance(lines, dict) else 1,
                alpha=1 if stressed else 0.7,
                marker='.' if len(values) < 30 else None,
            )
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=ylim)
    axes.legend(fontsize=8)
    return figure


@plot
def plot_rows(values: Dict[str, List[float]], published: Dict[str, Optional[float]]) -> Figure:
    """Draw the AP of every seed of each variant, its mean and sample standard deviation.

    Args:
        values: AP of each seed, 0 to 1, by variant.
        published: Published AP by variant.
    """
    figure, axes = _axes((6, 1 + 0.45 * len(values)))
    rng = np.random.default_rng(0)
    for place, own in enumerate(values.values()):
        own, color = 100 * np.array(own), COLOURS[place % len(COLOURS)]
        deviation = own.std(ddof=1) if len(own) > 1 else None
        axes.errorbar(own.mean(), place, xerr=deviation, fmt='o', color=color, capsize=4)
        if len(own) > 1:
            heights = place + rng.uniform(-0.2, 0.2, len(own))
            axes.plot(own, heights, 'o', color=color, alpha=0.4, markersize=3)
    known = [(100 * v, i) for i, v in enumerate(map(published.get, values)) if v is not None]
    if known:
        axes.plot(*zip(*known), 'k|', markersize=14, label='published')
        axes.legend()
    axes.set_yticks(range(len(values)), [_visible(name) for name in values])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel('AP (%)')
    return figure


@plot
def plot_confusion(matrix: np.ndarray, names: List[str]) -> Figure:
    """Draw a confusion matrix, shaded by the fractions of each row.

    Args:
        matrix: See :func:`epsanet_mmdet.evaluation.matching.confusion_matrix`.
        names: Class names.
    """
    side = 3 + 0.35 * min(len(names), 24)
    figure, axes = _axes((side, side))
    axes.grid(False)
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    axes.imshow(shares, 'Blues', vmin=0, vmax=1)
    ticks, size = range(len(matrix)), 8 if len(names) <= 24 else 4
    axes.set_xticks(ticks, [*names, 'FN'], rotation=90, fontsize=size)
    axes.set_yticks(ticks, [*names, 'background'], fontsize=size)
    axes.set(xlabel='detected as', ylabel='annotated as')
    if len(names) <= CELLS:
        for (i, j), count in np.ndenumerate(matrix):
            color = 'white' if shares[i, j] > 0.6 else 'black'
            axes.text(j, i, str(count), ha='center', va='center', color=color, fontsize=8)
    return figure


def _axes(size=(6, 3.6)):
    figure = Figure(size, layout='constrained')
    return figure, figure.subplots()


def _visible(label: str) -> str:
    return ' ' + label if label.startswith('_') else label  # else Matplotlib hides it
