"""Pictures with predictions beside the ground truth, the worst first."""

import os.path as osp
from collections import Counter
from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Tuple

import cv2
import numpy as np
from pycocotools.coco import COCO

from ..errors import DataError
from ..utils.drawing import jpeg_uri, shrink
from ..utils.files import is_inside
from ..utils.images import load_image
from .matching import Pair

LONGEST_SIDE = 640


@dataclass
class Shape:
    """An object drawn over a picture.

    Args:
        outcome: ``'found'``, ``'missed'``, ``'false'`` or ``'ignored'``.
        label: Its class, and its score if detected.
        box: Left, top, width and height in pixels.
        outline: Path of its mask, as of SVG.
    """

    outcome: str
    label: str
    box: List[float]
    outline: str = ''


@dataclass
class Picture:
    """A picture of the gallery.

    Args:
        name: File name.
        width: In pixels of the shapes.
        height: In pixels of the shapes.
        uri: The picture as a data URI; None if it cannot be read.
        counts: How many objects of each outcome.
        truth: The annotated objects.
        found: The detected objects.
    """

    name: str
    width: int
    height: int
    uri: Optional[str]
    counts: Counter
    truth: List[Shape]
    found: List[Shape]

    @property
    def unit(self) -> float:
        """Pixels for a line that is as thin on every picture."""
        return max(self.width, self.height) / 400


@dataclass
class ComparedPicture:
    """A picture with what each of several models found.

    Args:
        picture: The picture and its annotated objects.
        found: The detected objects and the counts of each outcome, by model.
    """

    picture: Picture
    found: Dict[str, Picture]


def compared_pictures(
    truth: COCO,
    models: Dict[str, Tuple[COCO, Dict[int, List[Pair]]]],
    image_dir: str,
    limit: int,
) -> List[ComparedPicture]:
    """Collect the pictures with the most missed and false detections of all models together.

    Args:
        truth: Ground truth.
        models: Results and their pairs by the name of the model.
        image_dir: Folder of the pictures.
        limit: How many at most.
    """
    counts = {
        name: {image_id: Counter(p.outcome for p in image) for image_id, image in pairs.items()}
        for name, (_, pairs) in models.items()
    }

    def wrong(image_id: int) -> int:
        return sum(own[image_id]['missed'] + own[image_id]['false'] for own in counts.values())

    compared = []
    for image_id in sorted(truth.imgs, key=lambda i: (-wrong(i), i))[:limit]:
        found = {
            name: _picture(
                truth, results, image_id, pairs[image_id], counts[name][image_id], image_dir
            )
            for name, (results, pairs) in models.items()
        }
        annotations = truth.loadAnns(truth.getAnnIds(imgIds=[image_id]))
        shapes = [
            _shape(truth, truth, a, 'ignored' if a['iscrowd'] else 'found') for a in annotations
        ]
        compared.append(ComparedPicture(replace(next(iter(found.values())), truth=shapes), found))
    return compared


def worst_pictures(
    truth: COCO, results: COCO, pairs: Dict[int, List[Pair]], image_dir: str, limit: int
) -> List[Picture]:
    """Collect the pictures with the most missed and false detections, the worst first.

    Args:
        truth: Ground truth.
        results: Results; masks are drawn if it has some.
        pairs: See :func:`epsanet_mmdet.evaluation.matching.match`.
        image_dir: Folder of the pictures.
        limit: How many at most.
    """
    counts = {image_id: Counter(p.outcome for p in image) for image_id, image in pairs.items()}
    order = sorted(counts, key=lambda i: (-counts[i]['missed'] - counts[i]['false'], i))
    return [
        _picture(truth, results, image_id, pairs[image_id], counts[image_id], image_dir)
        for image_id in order[:limit]
    ]


def _picture(
    truth: COCO, results: COCO, image_id: int, pairs: List[Pair], counts: Counter, image_dir: str
) -> Picture:
    info = truth.imgs[image_id]
    image = _read(image_dir, info['file_name'])
    height, width = image.shape[:2] if image is not None else (info['height'], info['width'])
    return Picture(
        info['file_name'],
        width,
        height,
        None if image is None else jpeg_uri(shrink(image, LONGEST_SIDE)),
        counts,
        [_shape(truth, truth, p.truth, p.outcome) for p in pairs if p.truth],
        [_shape(truth, results, p.found, p.outcome) for p in pairs if p.found],
    )


def _read(image_dir: str, name: str) -> Optional[np.ndarray]:
    path = osp.normpath(osp.join(image_dir, name))
    try:
        return load_image(path) if is_inside(path, image_dir) else None
    except DataError:
        return None


def _shape(truth: COCO, coco: COCO, annotation: dict, outcome: str) -> Shape:
    label = truth.cats[annotation['category_id']]['name']
    if 'score' in annotation:
        label += f' {annotation["score"]:.2f}'
    box = [round(float(v), 1) for v in annotation['bbox']]
    # pycocotools adds a rectangle to detected boxes as their segmentation
    has_mask = annotation.get('segmentation') and not (
        'score' in annotation and isinstance(annotation['segmentation'], list)
    )
    return Shape(outcome, label, box, _outline(coco, annotation) if has_mask else '')


def _outline(coco: COCO, annotation: dict) -> str:
    contours, _ = cv2.findContours(
        coco.annToMask(annotation), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    path = ''
    for contour in contours:
        points = cv2.approxPolyDP(contour, 1, True).reshape(-1, 2).tolist()
        if len(points) > 2:
            path += 'M' + 'L'.join(f'{x} {y}' for x, y in points) + 'Z'
    return path
