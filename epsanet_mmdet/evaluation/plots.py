"""Plots as SVG in data URIs, which a page can hold inside itself."""

import base64
import functools
import io
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Union

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from .metrics import Evaluation

Curves = Union[Dict[float, float], List[Dict[float, float]]]

# Told apart with any colour vision (Okabe and Ito).
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
CURVES = 10  # most classes that a reader can distinguish in one plot
CELLS = 12  # most classes whose counts fit into a matrix
STYLE = {
    'axes.grid': True,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'font.family': 'sans-serif',
    'font.size': 9,
    'grid.alpha': 0.25,
    'legend.frameon': False,
    'svg.fonttype': 'none',  # the browser's letters: small, and any script
    'svg.hashsalt': 'report',
    'text.parse_math': False,  # a class may be called $
}


def plot(draw: Callable[..., Figure]) -> Callable[..., str]:
    """Turn a function that draws a figure into one that returns a data URI."""

    @functools.wraps(draw)
    def to_uri(*args, **kwargs) -> str:
        with matplotlib.rc_context(STYLE), io.BytesIO() as file:
            draw(*args, **kwargs).savefig(file, format='svg', metadata={'Date': None})
            return 'data:image/svg+xml;base64,' + base64.b64encode(file.getvalue()).decode()

    return to_uri


def save_plot(draw: Callable[..., str], path: Path, *args, **kwargs) -> None:
    """Write what one of the functions below draws to a file, PNG or SVG by its name.

    Raises:
        OSError: If it cannot be written.
    """
    with matplotlib.rc_context(STYLE):
        figure = draw.__wrapped__(*args, **kwargs)
        metadata = {'Date': None} if path.suffix == '.svg' else None
        figure.savefig(path, dpi=150, metadata=metadata)


@plot
def plot_curves(
    curves: Dict[str, Curves], xlabel: str, ylabel: str, bold: Sequence[str] = ()
) -> Figure:
    """Draw lines.

    Args:
        curves: Values by position, by the name of the line; several lines may share a name.
        xlabel: Name of the positions.
        ylabel: Name of the values.
        bold: Lines to stress.
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
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(fontsize=8)
    return figure


@plot
def plot_rows(values: Dict[str, List[float]], published: Dict[str, Optional[float]]) -> Figure:
    """Draw the AP of every seed of some rows, their means and sample deviations.

    Args:
        values: AP of each seed, 0 to 1, by row.
        published: The published AP of a row, where there is one.
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
def plot_precision_recall(evaluation: Evaluation) -> Figure:
    """Draw precision over recall, the mean of the classes, at several IoU thresholds."""
    figure, axes = _precision_axes()
    for label, precision in (
        ('IoU 0.5', evaluation.precision[0]),
        ('IoU 0.75', evaluation.precision[5]),
        ('mean of IoU 0.5 to 0.95', evaluation.precision.mean(axis=0)),
    ):
        precision = precision[:, ~np.isnan(precision[0])]
        if precision.size:
            axes.plot(np.linspace(0, 1, 101), precision.mean(axis=1), label=label)
    axes.legend()
    return figure


@plot
def plot_class_precision_recall(evaluation: Evaluation) -> Figure:
    """Draw precision over recall at IoU 0.5 for the classes with the most objects."""
    figure, axes = _precision_axes()
    order = sorted(range(len(evaluation.classes)), key=lambda k: -evaluation.classes[k].objects)
    for k in order[:CURVES]:
        if evaluation.classes[k].objects:
            label = _visible(evaluation.classes[k].name)
            axes.plot(np.linspace(0, 1, 101), evaluation.precision[0, :, k], label=label)
    axes.legend(fontsize=8)
    return figure


@plot
def plot_confusion(matrix: np.ndarray, names: List[str]) -> Figure:
    """Draw a confusion matrix, each row's shares as shades.

    Args:
        matrix: See :func:`epsanet_mmdet.evaluation.matching.confusion_matrix`.
        names: Names of the classes.
    """
    side = 3 + 0.35 * min(len(names), 24)
    figure, axes = _axes((side, side))
    axes.grid(False)
    axes.imshow(matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True)), 'Blues', vmin=0, vmax=1)
    ticks, size = range(len(matrix)), 8 if len(names) <= 24 else 4
    axes.set_xticks(ticks, [*names, 'FN'], rotation=90, fontsize=size)
    axes.set_yticks(ticks, [*names, 'background'], fontsize=size)
    axes.set(xlabel='detected as', ylabel='annotated as')
    if len(names) <= CELLS:
        shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
        for (i, j), count in np.ndenumerate(matrix):
            color = 'white' if shares[i, j] > 0.6 else 'black'
            axes.text(j, i, str(count), ha='center', va='center', color=color, fontsize=8)
    return figure


def _axes(size=(6, 3.6)):
    figure = Figure(size, layout='constrained')
    return figure, figure.subplots()


def _precision_axes():
    figure, axes = _axes()
    axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.02))
    return figure, axes


def _visible(label: str) -> str:
    return ' ' + label if label.startswith('_') else label  # Matplotlib hides those
