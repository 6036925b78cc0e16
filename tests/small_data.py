"""Small sound data sets in each format, for tests to use or to break."""

import json
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 64, 48
CLASSES = ('ball', 'bögen 箱')
COLOURS = ((220, 40, 40), (40, 60, 220))

Objects = List[Tuple[int, List[float]]]  # class index, and [x1, y1, x2, y2]


def draw_image(path: Path, number: int) -> Objects:
    """Draw an image that differs by its number, with one object of each class."""
    random = np.random.default_rng(number)
    picture = Image.fromarray(random.integers(90, 160, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    objects = []
    for label in range(len(CLASSES)):
        x, y = random.integers(2, 12) + 30 * label, random.integers(2, 12)
        w, h = random.integers(14, 20), random.integers(14, 30)
        ImageDraw.Draw(picture).rectangle(
            [int(x), int(y), int(x + w - 1), int(y + h - 1)], fill=COLOURS[label]
        )
        objects.append((label, [float(v) for v in (x, y, x + w, y + h)]))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return objects


def coco_content(folder: Path, count: int, first: int = 1, suffix: str = '.png') -> Dict:
    """Draw images, and return their COCO annotations with masks; ids start at ``first``."""
    images, annotations = [], []
    for number in range(first, first + count):
        name = f'im {number}{suffix}'
        images.append(dict(id=number, file_name=name, width=WIDTH, height=HEIGHT))
        for label, (x1, y1, x2, y2) in draw_image(folder / name, number):
            annotations.append(
                dict(
                    id=10 * number + label,
                    image_id=number,
                    category_id=label + 1,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]],
                    iscrowd=0,
                )
            )
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, start=1)]
    return dict(images=images, annotations=annotations, categories=categories)


def write_json(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding='utf-8')


def write_coco(root: Path, train: int = 6, val: int = 0) -> Path:
    """Write ``images/`` and ``annotations/train.json``, and ``val.json`` if there is any."""
    write_json(root / 'annotations' / 'train.json', coco_content(root / 'images', train))
    if val:
        content = coco_content(root / 'images', val, first=train + 1)
        write_json(root / 'annotations' / 'val.json', content)
    return root


def voc_xml(name: str, objects: Objects, size=(WIDTH, HEIGHT)) -> str:
    """Return the XML of an image; coordinates start at 1."""
    items = ''.join(
        f'<object><name>{CLASSES[label]}</name><bndbox><xmin>{x1 + 1:g}</xmin><ymin>{y1 + 1:g}'
        f'</ymin><xmax>{x2:g}</xmax><ymax>{y2:g}</ymax></bndbox></object>'
        for label, (x1, y1, x2, y2) in objects
    )
    return (
        f'<annotation><filename>{name}</filename><size><width>{size[0]}</width>'
        f'<height>{size[1]}</height><depth>3</depth></size>{items}</annotation>'
    )


def write_voc(root: Path, count: int = 6) -> Path:
    """Write ``JPEGImages`` and ``Annotations`` without lists of splits."""
    (root / 'Annotations').mkdir(parents=True)
    for number in range(1, count + 1):
        objects = draw_image(root / 'JPEGImages' / f'{number}.jpg', number)
        path = root / 'Annotations' / f'{number}.xml'
        path.write_text(voc_xml(f'{number}.jpg', objects), encoding='utf-8')
    return root


def yolo_lines(objects: Objects, polygons: bool = False) -> str:
    lines = []
    for label, (x1, y1, x2, y2) in objects:
        if polygons:
            values = [x1 / WIDTH, y1 / HEIGHT, x2 / WIDTH, y1 / HEIGHT]
            values += [x2 / WIDTH, y2 / HEIGHT, x1 / WIDTH, y2 / HEIGHT]
        else:
            values = [(x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT]
            values += [(x2 - x1) / WIDTH, (y2 - y1) / HEIGHT]
        lines.append(' '.join([str(label), *(f'{value:.6f}' for value in values)]))
    return '\n'.join(lines) + '\n'


def write_yolo(root: Path, train: int = 6, val: int = 2, polygons: bool = False) -> Path:
    """Write ``data.yaml``, ``images/{train,val}`` and ``labels/{train,val}``."""
    for split, numbers in dict(train=range(train), val=range(train, train + val)).items():
        (root / 'labels' / split).mkdir(parents=True)
        for number in numbers:
            objects = draw_image(root / 'images' / split / f'{number}.png', number)
            label = root / 'labels' / split / f'{number}.txt'
            label.write_text(yolo_lines(objects, polygons))
    names = '\n'.join(f'  {i}: {name}' for i, name in enumerate(CLASSES))
    (root / 'data.yaml').write_text(
        f'path: .\ntrain: images/train\nval: images/val\nnames:\n{names}\n', encoding='utf-8'
    )
    return root
