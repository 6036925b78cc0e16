"""A small COCO data set with results whose metrics can be told by hand."""

import json
from typing import NamedTuple

import cv2
import numpy as np
from pycocotools import mask as coco_masks


def box(x, y, side=20):
    return [x, y, side, side]


def mask(x, y, side=20):
    area = np.zeros((100, 100), np.uint8, order='F')
    area[y : y + side, x : x + side] = 1
    rle = coco_masks.encode(area)
    return {**rle, 'counts': rle['counts'].decode()}


class Case(NamedTuple):
    ann_file: str
    image_dir: str
    results: list


def write_case(folder, names=('cat', 'dog'), truth=None, found=None) -> Case:
    """Write a data set of three images and results on it.

    Image 1 has a cat that is found and a dog that is missed, image 2 a cat taken for a dog,
    image 3 a dog that is found, a false cat, and a crowd of dogs with a detection in it.
    ``truth`` and ``found`` replace annotations of (image, class, x, y, crowd) and results of
    (image, class, x, y, score).
    """
    (folder / 'images').mkdir(parents=True, exist_ok=True)
    images = []
    for i in (1, 2, 3):
        images.append(dict(id=i, file_name=f'ä {i}.jpg', width=100, height=100))
        picture = np.full((100, 100, 3), 60 * i, np.uint8)
        cv2.imencode('.jpg', picture)[1].tofile(folder / 'images' / f'ä {i}.jpg')
    truth = truth or [(1, 1, 0, 0), (1, 2, 50, 50), (2, 1, 0, 0), (3, 2, 0, 0), (3, 2, 60, 60, 1)]
    annotations = [
        dict(
            id=i,  # from 0, which pycocotools takes for none
            image_id=image,
            category_id=category,
            bbox=box(x, y),
            area=400,
            iscrowd=int(bool(crowd)),
            segmentation=mask(x, y),
        )
        for i, (image, category, x, y, *crowd) in enumerate(truth)
    ]
    categories = [dict(id=i, name=name) for i, name in enumerate(names, 1)]
    if found is None:
        found = [(1, 1, 0, 0, 0.9), (2, 2, 0, 0, 0.8), (3, 2, 0, 0, 0.7), (3, 1, 30, 30, 0.6)]
        found += [(3, 2, 60, 60, 0.5), (1, 2, 50, 50, 0.1)]
    boxes = [dict(image_id=i, category_id=c, score=s, bbox=box(x, y)) for i, c, x, y, s in found]
    masks = [
        dict(image_id=i, category_id=c, score=s, segmentation=mask(x, y)) for i, c, x, y, s in found
    ]
    content = dict(images=images, annotations=annotations, categories=categories)
    for name, value in (('truth', content), ('r.bbox', boxes), ('r.segm', masks)):
        (folder / f'{name}.json').write_text(json.dumps(value))
    results = [str(folder / 'r.bbox.json'), str(folder / 'r.segm.json')]
    return Case(str(folder / 'truth.json'), str(folder / 'images'), results)


def write_log(work_dir, run, entries) -> None:
    """Write what mmengine logs; a string is a line as it is."""
    folder = work_dir / run / 'vis_data'
    folder.mkdir(parents=True)
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    (folder / 'scalars.json').write_text('\n'.join(lines))
