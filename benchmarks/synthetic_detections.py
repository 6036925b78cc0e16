"""Random images with objects and detections of known quality, as COCO in memory."""

from typing import List, Sequence, Tuple

import numpy as np
from pycocotools.coco import COCO

from epsanet_mmdet.evaluation.data import silenced

CLASSES = ('cat', 'dog', 'cow')
Box = Tuple[int, List[float]]  # class and box
Image = Tuple[List[Box], List[Tuple[int, List[float], float]]]  # objects, and scored detections


def synthetic_images(count: int, seed: int) -> List[Image]:
    """Return independent images of one distribution; images differ in how difficult they are."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        objects, found, skill = [], [], rng.beta(4, 2)
        for _ in range(1 + rng.poisson(2)):
            category = int(rng.integers(len(CLASSES)))
            box = [*rng.uniform(0, 400, 2), *rng.uniform(20, 80, 2)]
            objects.append((category, box))
            if rng.random() < skill:
                shift = rng.normal(0, 0.12 * (1.2 - skill) * box[2], 2)
                moved = [box[0] + shift[0], box[1] + shift[1], *box[2:]]
                seen = category if rng.random() < 0.9 else (category + 1) % len(CLASSES)
                found.append((seen, moved, float(rng.beta(4, 2))))
        for _ in range(rng.poisson(1)):
            box = [*rng.uniform(0, 400, 2), *rng.uniform(20, 80, 2)]
            found.append((int(rng.integers(len(CLASSES))), box, float(rng.beta(2, 4))))
        images.append((objects, found))
    return images


def as_coco(images: Sequence[Image]) -> Tuple[COCO, COCO]:
    """Return ground truth and detections; an image that occurs twice becomes two."""
    sizes = [dict(id=i, file_name=f'{i}.jpg', width=500, height=500) for i in range(len(images))]
    categories = [dict(id=k, name=name) for k, name in enumerate(CLASSES)]
    objects, found = [], []
    for i, (boxes, detections) in enumerate(images):
        objects += [_entry(len(objects) + k, i, *box) for k, box in enumerate(boxes, 1)]
        for category, box, score in detections:
            found.append(dict(_entry(len(found) + 1, i, category, box), score=score))
    return tuple(
        _index(dict(images=sizes, categories=categories, annotations=entries))
        for entries in (objects, found)
    )


def _entry(number: int, image: int, category: int, box: List[float]) -> dict:
    place = dict(id=number, image_id=image, category_id=category)
    return dict(place, bbox=box, area=box[2] * box[3], iscrowd=0)


def _index(content: dict) -> COCO:
    coco = COCO()
    coco.dataset = content
    silenced(coco.createIndex)
    return coco
