"""Samples as an HTML page: the objects are SVG over the images, with their classes as tooltips."""

from typing import List, Sequence

from ...utils import page
from ...utils.drawing import css_colour
from ...utils.svg import Picture, Shape, corner_and_size, embed_picture, outline
from .samples import Sample


def draw_picture(sample: Sample) -> Picture:
    """Return a sample as a picture of a page."""
    picture = embed_picture(sample.image, sample.name)
    shapes = []
    for i in sample.large_first:  # small objects above large ones
        box = corner_and_size(sample.boxes[i])
        path = '' if sample.masks is None else outline(sample.masks[i])
        outcome = 'ignored' if sample.ignored[i] else ''
        shapes.append(Shape(sample.names[i], box, path, outcome, css_colour(sample.labels[i])))
    picture.panels.append((sample.caption, shapes))
    return picture


def render_page(groups: Sequence[Sequence[Picture]], title: str, facts: str) -> str:
    """Return a page as HTML.

    Args:
        groups: The pictures of each image; pictures that stand alone share the rows.
        title: Heading.
        facts: A line on their origin.
    """
    pictures: List[Picture] = [picture for group in groups for picture in group]
    shapes = [shape for picture in pictures for shape in picture.panels[0][1]]
    section = page.render_section(
        'Images with their annotations',
        'samples',
        facts=facts,
        groups=groups if len(pictures) > len(groups) else [pictures],
        key=sorted({(shape.label, shape.colour) for shape in shapes if not shape.outcome}),
    )
    return page.render_page(title, [section])
