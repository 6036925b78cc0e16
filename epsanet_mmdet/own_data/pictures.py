"""Small pictures with their annotations drawn, for the page."""

from typing import Dict, List, Tuple

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from ..datasets.segmentation import encode
from ..utils.drawing import class_colour, draw_objects, jpeg_uri, shrink
from ..utils.images import load_image
from .formats.split import Split

EXTENT = 420  # pixels of the longer side


def colours(split: Split) -> Dict[int, str]:
    """Return the colour of each category, by its id, as of CSS."""
    return {number: f'rgb{class_colour(i)[::-1]}' for number, i in _indices(split).items()}


def draw(split: Split, image: Dict, annotations: List[Dict]) -> str:
    """Draw an image as training loads it, with its annotations, as a data URI."""
    picture = shrink(load_image(split.path_of(image['file_name'])), EXTENT)
    height, width = picture.shape[:2]
    factors = width / image['width'], height / image['height']
    boxes = np.array([annotation['bbox'] for annotation in annotations], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    indices = _indices(split)
    labels = [indices[annotation['category_id']] for annotation in annotations]
    masks = [_mask(annotation, image, factors, (height, width)) for annotation in annotations]
    return jpeg_uri(draw_objects(picture, boxes * (factors * 2), labels, masks=masks))


def _indices(split: Split) -> Dict[int, int]:
    return {category['id']: i for i, category in enumerate(split.categories)}


def _mask(
    annotation: Dict, image: Dict, factors: Tuple[float, float], size: Tuple[int, int]
) -> np.ndarray:
    segmentation = annotation.get('segmentation')
    if isinstance(segmentation, dict):
        mask = coco_mask.decode(encode(segmentation, (image['width'], image['height'])))
        return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST)
    mask = np.zeros(size, np.uint8)
    for polygon in segmentation or ():
        points = np.asarray(polygon[: len(polygon) // 2 * 2], float).reshape(-1, 2) * factors
        cv2.fillPoly(mask, [points.clip(-size[1], 2 * size[1]).round().astype(np.int32)], 1)
    return mask
