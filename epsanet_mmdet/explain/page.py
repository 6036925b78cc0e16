"""The page about explained images, in one file."""

from typing import Dict, List, Optional, Sequence

import numpy as np

from ..utils import page
from ..utils.drawing import css_colour
from ..utils.svg import Picture, Shape, corner_and_size, embed_picture
from ..utils.text import counted
from .charts import histogram, scale_chart, scale_limits
from .heatmap import css_colours, draw_heat
from .images import Explained
from .recording import Gate
from .summary import WHOLE, Summary, short_names

THUMBNAIL = 320  # pixels of the longer side of an image under a map of a layer


class ExplainedPage:
    """A page that is filled image by image, so that no image is kept.

    Args:
        classes: Class names of the detector.
        method: Name of the heat maps.
        layer: Layer that they belong to.
    """

    def __init__(self, classes: Sequence[str], method: str, layer: str) -> None:
        self.classes = classes
        self.method = method
        self.layer = layer
        self.objects: List[List[Picture]] = []
        self.positions: List[List[Picture]] = []

    def add(self, explained: Explained) -> None:
        """Add an image with its heat maps, and the maps of its layers."""
        image, name = explained.frame.image, explained.frame.name
        captions = explained.captions(self.classes)
        shapes = [
            Shape(caption, corner_and_size(box), colour=css_colour(int(label)))
            for caption, box, label in zip(captions, explained.boxes, explained.objects.labels)
        ]
        whole = embed_picture(image, name)
        whole.panels.append((counted(len(shapes), 'object'), shapes))
        pictures = [whole]
        for caption, shape, cam in zip(captions, shapes, explained.cams):
            picture = embed_picture(draw_heat(image, cam.heat.numpy(), fading=True), name)
            shape = Shape(shape.label, shape.box, colour='#fff')
            picture.panels.append((caption + self._stage(cam), [shape]))
            pictures.append(picture)
        self.objects.append(pictures)
        gates = [gate for gate in explained.record.gates if gate.positions is not None]
        if gates:
            labels = short_names([gate.layer for gate in gates])
            self.positions.append(
                [_position_picture(image, name, *pair) for pair in zip(gates, labels)]
            )

    def render(self, facts: str, summary: Summary) -> str:
        """Return the page as HTML.

        Args:
            facts: A line on its origin.
            summary: Attention of all images.
        """
        sections = [
            page.render_section(
                'Objects',
                'explained_objects',
                facts=facts,
                method=self.method,
                groups=self.objects,
                ramp=css_colours(fading=True),
            )
        ]
        sections += [
            _scales_section(summary, kernel_sizes)
            for kernel_sizes in dict.fromkeys(sizes for _, sizes in summary.scales)
        ]
        if summary.channels:
            sections.append(_channels_section(summary))
        if self.positions:
            sections.append(
                page.render_section(
                    'Attention to positions',
                    'explained_positions',
                    groups=self.positions,
                    ramp=css_colours(),
                )
            )
        return page.render_page('What the detector attends to', sections)

    def _stage(self, cam) -> str:
        if not cam.heat.any():
            return ': nothing raised the score'
        where = f', stage {cam.stage} of {cam.stages}' if cam.stages > 1 else ''
        return f': {self.layer}{where}'


def _position_picture(image: np.ndarray, name: str, gate: Gate, label: str) -> Picture:
    weights = gate.positions.numpy()
    low, high = float(weights.min()), float(weights.max())
    heat = (weights - low) / (high - low) if high > low else np.zeros_like(weights)
    step = max(1, max(image.shape[:2]) // THUMBNAIL)
    picture = embed_picture(draw_heat(image[::step, ::step], heat), name)
    picture.panels.append((f'{label} ({gate.kind}): {low:.3f} to {high:.3f}', []))
    return picture


def _scales_section(summary: Summary, kernel_sizes: Sequence[int]) -> page.Section:
    means = summary.means(kernel_sizes)
    labels = _scale_labels(kernel_sizes)
    equal = 1 / len(labels)
    values = [weight for layers in means.values() for weight in layers.values()]
    reach = max(0.02, 1.1 * float(np.abs(np.array(values) - equal).max()))
    counts = summary.counts()
    charts = [
        scale_chart(_group_title(group, counts), layers, labels, (equal - reach, equal + reach))
        for group, layers in means.items()
    ]
    names = list(means[WHOLE])
    rows = [
        (short, [means[group][name].tolist() for group in means])
        for name, short in zip(names, short_names(names))
    ]
    return page.render_section(
        f'Scales of PSA: kernels {", ".join(map(str, kernel_sizes))}',
        'explained_scales',
        charts=charts,
        titles=[chart.title for chart in charts],
        labels=labels,
        rows=rows,
        equal=equal,
        reach=reach,
        limits=scale_limits(len(labels)),
    )


def _scale_labels(kernel_sizes: Sequence[int]) -> List[str]:
    """Return a label of each branch; branches of the same size are numbered."""
    labels: List[str] = []
    for i, size in enumerate(kernel_sizes):
        same = list(kernel_sizes[:i]).count(size)
        labels.append(f'{size}×{size}' + (f' ({same + 1})' if same else ''))
    return labels


def _group_title(group: str, counts: Dict[str, int]) -> str:
    count = counts[group]
    if group == WHOLE:
        return f'{group}, {counted(count, "image")}'
    return f'{group} objects, {count}'


def _channels_section(summary: Summary) -> page.Section:
    layers = list(summary.channels)
    rows = []
    for name, short in zip(layers, short_names(layers)):
        weights, gate = np.array(summary.channels[name]), summary.gates[name]
        end = max(1.0, float(weights.max())) if gate.relative else 1.0
        across: Optional[float] = None
        if len(weights) > 1:
            across = float(weights.std(axis=0, ddof=1).mean())
        rows.append(
            dict(
                name=short,
                kind=gate.kind,
                channels=weights.shape[1],
                mean=float(weights.mean()),
                between=float(weights.mean(axis=0).std()),
                across=across,
                end=end,
                bins=histogram(weights, end),
            )
        )
    return page.render_section('Attention to channels', 'explained_channels', rows=rows)
