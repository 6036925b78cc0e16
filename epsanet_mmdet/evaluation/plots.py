"""Plots of a report, as SVG in the colours of its page or as files."""

import functools
import io
import re
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

Curve = Dict[float, float]  # y by x
Curves = Union[Curve, List[Curve]]

# Distinguishable with any colour vision (Okabe and Ito).
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
GRID = '#b0b0b0'
IN_PAGE = {  # page.css has the variables, for light and dark
    **{colour: f'var(--series-{i})' for i, colour in enumerate(COLOURS[:-1], 1)},
    COLOURS[-1]: 'currentColor',
    GRID: 'var(--faint)',
}
STYLE = {
    'axes.grid': True,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'font.family': 'sans-serif',
    'font.sans-serif': ['DejaVu Sans'],
    'font.size': 9,
    'grid.alpha': 0.25,
    'grid.color': GRID,
    'legend.frameon': False,
    'svg.fonttype': 'none',  # text stays text: small, and in any script
    'svg.hashsalt': 'report',
    'text.parse_math': False,  # a class may be called $
}


def plot(draw: Callable[..., Figure]) -> Callable[..., Markup]:
    """Make a function that draws a figure return it as an SVG element without a background."""

    @functools.wraps(draw)
    def to_element(*args, **kwargs) -> Markup:
        with matplotlib.rc_context(STYLE), io.StringIO() as file:
            nothing = dict.fromkeys(('Date', 'Creator', 'Format', 'Type'))
            draw(*args, **kwargs).savefig(file, format='svg', metadata=nothing, transparent=True)
            return _element(file.getvalue())

    return to_element


def _element(svg: str) -> Markup:
    """Return a file of Matplotlib as an element that shares a page with others.

    Matplotlib escapes text, which therefore never contains a tag. The ids that remain, those of
    markers and clip paths, are hashes of what they name.
    """
    box = re.search(r'viewBox="[^"<>]*"', svg)[0]
    body = svg[svg.index('<g id="figure_1">') : svg.rindex('</svg>')]
    body = re.sub(r'<style[^>]*>[^<]*</style>', '', body)
    body = re.sub(r'<g id="[^"<>]*">', '<g>', body)
    body = re.sub(r'(?<=: )#[0-9a-f]{6}(?=[;"])', lambda m: IN_PAGE.get(m[0], m[0]), body)
    return Markup(f'<svg class="plot" {box} role="img">{body}</svg>')


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
    mark: Optional[float] = None,
) -> Figure:
    """Draw curves.

    Args:
        curves: The curve of each name, or the curves of several seeds, which are drawn as their
            mean and a band from the lowest to the highest.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        bold: Names of curves to emphasise.
        ylim: Limits of the y axis.
        mark: Value of x to mark.
    """
    figure, axes = _axes()
    for i, (name, seeds) in enumerate(curves.items()):
        stressed = not bold or name in bold
        x, low, mean, high = band([seeds] if isinstance(seeds, dict) else seeds)
        color = COLOURS[i % len(COLOURS)]
        if not isinstance(seeds, dict) and len(seeds) > 1:
            axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        axes.plot(
            x,
            mean,
            label=_visible(name),
            color=color,
            linestyle='-' if i < len(COLOURS) else '--',
            linewidth=2 if stressed else 1,
            alpha=1 if stressed else 0.7,
            marker='.' if len(x) < 30 else None,
        )
        if all(isinstance(value, int) for value in x):
            axes.xaxis.get_major_locator().set_params(integer=True)
    if mark is not None:
        axes.axvline(mark, color=COLOURS[-1], linestyle=':', linewidth=1)
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=ylim)
    axes.legend(fontsize=8)
    return figure


def band(curves: Sequence[Curve]) -> Tuple[List[float], np.ndarray, np.ndarray, np.ndarray]:
    """Return the x that all curves have, and their lowest, mean and highest y there."""
    common = [x for x in curves[0] if all(x in curve for curve in curves)]
    y = np.array([[curve[x] for x in common] for curve in curves])
    return common, y.min(0), y.mean(0), y.max(0)


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
def plot_costs(
    costs: Dict[str, Dict[str, float]], aps: Dict[str, Dict[str, Optional[float]]]
) -> Figure:
    """Draw the AP of each variant against its costs, in a panel for each cost.

    Args:
        costs: Cost by variant, by the name and unit of the cost.
        aps: AP as :func:`epsanet_mmdet.evaluation.seeds.mean_interval`, by variant.
    """
    figure = Figure((3 + 3 * len(costs), 3.6), layout='constrained')
    panels = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for axes, (xlabel, values) in zip(panels, costs.items()):
        for i, (name, ap) in enumerate(aps.items()):
            margin = None if ap['low'] is None else 50 * (ap['high'] - ap['low'])
            axes.errorbar(
                values[name],
                100 * ap['mean'],
                yerr=margin,
                fmt='o' if i < len(COLOURS) else 's',
                color=COLOURS[i % len(COLOURS)],
                capsize=4,
                label=_visible(name),
            )
        axes.set_xlabel(xlabel)
    panels[0].set_ylabel('AP (%)')
    panels[-1].legend(fontsize=8, loc='upper left', bbox_to_anchor=(1, 1))
    return figure


def _axes(size=(6, 3.6)):
    figure = Figure(size, layout='constrained')
    return figure, figure.subplots()


def _visible(label: str) -> str:
    return ' ' + label if label.startswith('_') else label  # else Matplotlib hides it
