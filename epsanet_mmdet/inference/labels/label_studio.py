"""Pre-annotations for Label Studio: https://labelstud.io/guide/predictions, Label Studio 1.x."""

import os
from pathlib import Path
from typing import List, Sequence
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ...utils.storage import write_whole
from ...utils.text import xml_text
from ...version import __version__
from ..sources import Source
from ..tables import JsonList
from .shapes import Shape

TAGS = {'RectangleLabels': 'box', 'PolygonLabels': 'polygon'}  # with the names of the controls


class LabelStudioLabels:
    """``label_studio.json``, complete after each image, and the labeling interface for it.

    Args:
        folder: Folder of the files.
        classes: Class names.
        image_url: Text before the percent-encoded name of each image; empty for plain names.
    """

    FILES = ('label_studio.json', 'label_studio.xml')

    def __init__(self, folder: Path, classes: Sequence[str], image_url: str) -> None:
        self.image_url = image_url
        self.tasks = JsonList(folder / self.FILES[0])
        write_whole(_interface(classes), folder / self.FILES[1])

    def add(self, source: Source, size: Sequence[int], shapes: List[Shape]) -> None:
        """Add an image of (height, width) pixels."""
        name = source.name
        if self.image_url:
            name = self.image_url + quote(os.fsencode(name))
        results = [
            dict(
                id=f'object{i}',
                to_name='image',
                image_rotation=0,
                original_width=size[1],
                original_height=size[0],
                score=round(shape.score, 6),
                **_region(shape, *size),
            )
            for i, shape in enumerate(shapes, 1)
        ]
        prediction = dict(model_version=f'epsanet_mmdet {__version__}', result=results)
        if shapes:
            prediction['score'] = round(sum(shape.score for shape in shapes) / len(shapes), 6)
        self.tasks.extend([dict(data=dict(image=name), predictions=[prediction])])

    def close(self) -> None:
        self.tasks.close()


def _region(shape: Shape, height: int, width: int) -> dict:
    """Return an object in percent of the width and height of its image."""
    percent = (100 / width, 100 / height)
    if shape.polygon is not None:
        points = (shape.polygon * percent).round(4).clip(0, 100).tolist()
        value = dict(points=points, closed=True, polygonlabels=[xml_text(shape.class_name)])
        return dict(type='polygonlabels', from_name=TAGS['PolygonLabels'], value=value)
    x, y, right, bottom = (shape.box.reshape(2, 2) * percent).round(4).clip(0, 100).flatten()
    value = dict(x=x, y=y, width=round(right - x, 4), height=round(bottom - y, 4), rotation=0)
    value['rectanglelabels'] = [xml_text(shape.class_name)]
    return dict(type='rectanglelabels', from_name=TAGS['RectangleLabels'], value=value)


def _interface(classes: Sequence[str]) -> str:
    view = Element('View')
    SubElement(view, 'Image', name='image', value='$image')
    for tag, name in TAGS.items():
        control = SubElement(view, tag, name=name, toName='image')
        for class_name in classes:
            SubElement(control, 'Label', value=xml_text(class_name))
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding='unicode') + '\n'
