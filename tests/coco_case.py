"""A COCO data set and results small enough to compute their metrics by hand."""

import json
from typing import NamedTuple

import cv2
import numpy as np
from pycocotools import mask as coco_masks
from synthetic_detections import as_coco

from epsanet_mmdet.evaluation.data import load_ground_truth, load_results


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


def write_case(folder, names=('cat', 'dog'), objects=None, detections=None) -> Case:
    """Write a data set of three images and results on it.

    Image 1 has a detected cat and a missed dog, image 2 a cat detected as a dog, image 3 a
    detected dog, a false cat, and a crowd of dogs with a detection in it.

    Args:
        folder: Folder to write to.
        names: Class names.
        objects: Annotations (image, class, x, y) or (image, class, x, y, crowd) to use instead.
        detections: Results (image, class, x, y, score) to use instead.
    """
    (folder / 'images').mkdir(parents=True, exist_ok=True)
    images = []
    for i in (1, 2, 3):
        images.append(dict(id=i, file_name=f'ä {i}.jpg', width=100, height=100))
        picture = np.full((100, 100, 3), 60 * i, np.uint8)
        cv2.imencode('.jpg', picture)[1].tofile(folder / 'images' / f'ä {i}.jpg')
    if objects is None:
        objects = [(1, 1, 0, 0), (1, 2, 50, 50), (2, 1, 0, 0), (3, 2, 0, 0), (3, 2, 60, 60, 1)]
    annotations = [
        dict(
            id=i,  # from 0, which pycocotools treats as no match
            image_id=image,
            category_id=category,
            bbox=box(x, y),
            area=400,
            iscrowd=int(bool(crowd)),
            segmentation=mask(x, y),
        )
        for i, (image, category, x, y, *crowd) in enumerate(objects)
    ]
    categories = [dict(id=i, name=name) for i, name in enumerate(names, 1)]
    if detections is None:
        detections = [(1, 1, 0, 0, 0.9), (2, 2, 0, 0, 0.8), (3, 2, 0, 0, 0.7), (3, 1, 30, 30, 0.6)]
        detections += [(3, 2, 60, 60, 0.5), (1, 2, 50, 50, 0.1)]
    boxes, masks = [], []
    for image, category, x, y, score in detections:
        detection = dict(image_id=image, category_id=category, score=score)
        boxes.append({**detection, 'bbox': box(x, y)})
        masks.append({**detection, 'segmentation': mask(x, y)})
    content = dict(images=images, annotations=annotations, categories=categories)
    for name, value in (('gt', content), ('r.bbox', boxes), ('r.segm', masks)):
        (folder / f'{name}.json').write_text(json.dumps(value))
    results = [str(folder / 'r.bbox.json'), str(folder / 'r.segm.json')]
    return Case(str(folder / 'gt.json'), str(folder / 'images'), results)


def write_synthetic(folder, images) -> Case:
    """Write grey images with the objects and detections of ``synthetic_images``."""
    (folder / 'images').mkdir(parents=True)
    gt, dt = as_coco(images)
    for image in gt.dataset['images']:
        picture = np.full((image['height'], image['width'], 3), 90, np.uint8)
        cv2.imwrite(str(folder / 'images' / image['file_name']), picture)
    for name, content in (('gt', gt.dataset), ('r.bbox', dt.dataset['annotations'])):
        (folder / f'{name}.json').write_text(json.dumps(content))
    return Case(str(folder / 'gt.json'), str(folder / 'images'), [str(folder / 'r.bbox.json')])


def load_case(case: Case):
    """Return the ground truth and the detections by IoU type."""
    gt = load_ground_truth(case.ann_file)
    return gt, load_results(gt, case.results)


def write_log(work_dir, run, entries) -> None:
    """Write a log as mmengine does; strings are written as they are."""
    folder = work_dir / run / 'vis_data'
    folder.mkdir(parents=True)
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    (folder / 'scalars.json').write_text('\n'.join(lines))
