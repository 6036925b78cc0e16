"""The HTML page of a data set's check: findings, histograms, and images with their annotations."""

from typing import Dict, List

from ..utils import page
from ..utils.drawing import css_colour
from ..utils.storage import write_whole
from ..utils.svg import Picture, Shape, load_picture, outline
from .formats.split import Split
from .lint.run import CheckedData
from .lint.sets import class_counts, size_histogram

PICTURES = 24  # images shown of each split
ROWS = 200  # findings shown of each kind


def write_page(data: CheckedData, path: str) -> None:
    """Write the page of a checked data set to a file."""
    write_whole(render_page(data), path)


def render_page(data: CheckedData) -> str:
    """Return the page of a checked data set as HTML."""
    counts = {level: data.findings.count(level) for level in ('error', 'warning')}
    groups = {level: data.findings.of(level) for level in counts}
    findings = page.render_section('Findings', 'findings', counts=counts, groups=groups, rows=ROWS)
    sections = [findings, *(_split_section(split) for split in data.splits)]
    return page.render_page('Check of a data set', sections)


def _split_section(split: Split) -> page.Section:
    classes = sorted(class_counts(split).items(), key=lambda item: -item[1])
    pictures = _pictures(split)
    shown = {shape.label: shape.colour for p in pictures for shape in p.panels[0][1]}
    return page.render_section(
        split.name,
        'split',
        split=split,
        histograms={
            'Objects of each class': classes,
            'Objects by the square root of their area in pixels': size_histogram(split),
        },
        pictures=pictures,
        key=sorted(shown.items()),
    )


def _pictures(split: Split) -> List[Picture]:
    step = max(1, len(split.images) // PICTURES)
    chosen = split.images[::step][:PICTURES]
    shapes: Dict[int, List[Shape]] = {image['id']: [] for image in chosen}
    names = {category['id']: category['name'] for category in split.categories}
    colours = {number: css_colour(i) for i, number in enumerate(names)}
    for annotation in sorted(split.annotations, key=lambda a: -a['bbox'][2] * a['bbox'][3]):
        if annotation['image_id'] in shapes:  # small objects above large ones
            category = annotation['category_id']
            box, path = annotation['bbox'], outline(annotation.get('segmentation'))
            shape = Shape(names[category], box, path, colour=colours[category])
            shapes[annotation['image_id']].append(shape)
    pictures = []
    for image in chosen:
        name = image['file_name']
        picture = load_picture(split.path_of(name), name, (image['width'], image['height']))
        picture.panels.append((name, shapes[image['id']]))
        pictures.append(picture)
    return pictures
