"""Labels for CVAT: the format "CVAT for images 1.1".

The elements are those of https://docs.cvat.ai/docs/other/xml_format, version 1.1.
"""

from pathlib import Path
from typing import List, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ...utils.text import xml_text
from ..sources import Source
from ..tables import GrowingFile
from .shapes import Shape


class CvatLabels:
    """``cvat.xml``, complete after each image.

    Args:
        folder: Folder of the file.
        classes: Class names.
    """

    FILES = ('cvat.xml',)

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self.count = 0
        root = Element('annotations')
        SubElement(root, 'version').text = '1.1'
        task = SubElement(SubElement(root, 'meta'), 'task')
        SubElement(task, 'mode').text = 'annotation'
        labels = SubElement(task, 'labels')
        for name in classes:
            labels.append(_label(name))
        text = '<?xml version="1.0" encoding="utf-8"?>\n' + _text(root)
        tail = '</annotations>\n'
        head = text.removesuffix(tail)
        self.file = GrowingFile(folder / self.FILES[0], head.encode(), tail.encode())

    def add(self, source: Source, size: Sequence[int], shapes: List[Shape]) -> None:
        """Add an image of (height, width) pixels."""
        image = Element('image', id=str(self.count), name=xml_text(source.name))
        image.set('width', str(size[1]))
        image.set('height', str(size[0]))
        image.extend(map(_shape, shapes))
        self.file.append(_text(image).encode())
        self.count += 1

    def close(self) -> None:
        self.file.close()


def _label(name: str) -> Element:
    label = Element('label')
    SubElement(label, 'name').text = xml_text(name)
    attribute = SubElement(SubElement(label, 'attributes'), 'attribute')
    SubElement(attribute, 'name').text = 'score'
    SubElement(attribute, 'mutable').text = 'False'
    SubElement(attribute, 'input_type').text = 'text'
    SubElement(attribute, 'default_value')
    SubElement(attribute, 'values')
    return label


def _shape(shape: Shape) -> Element:
    common = dict(label=xml_text(shape.class_name), source='auto', occluded='0', z_order='0')
    if shape.polygon is None:
        names = ('xtl', 'ytl', 'xbr', 'ybr')
        element = Element('box', common | {n: f'{v:.2f}' for n, v in zip(names, shape.box)})
    else:
        points = ';'.join(f'{x:.2f},{y:.2f}' for x, y in shape.polygon)
        element = Element('polygon', common, points=points)
    SubElement(element, 'attribute', name='score').text = f'{shape.score:.4f}'
    return element


def _text(element: Element) -> str:
    ElementTree.indent(element)
    return ElementTree.tostring(element, encoding='unicode') + '\n'
