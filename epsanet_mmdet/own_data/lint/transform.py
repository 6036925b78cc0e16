"""Moving annotations along with their image when it is scaled or rotated."""

from typing import Dict, Tuple

import numpy as np
from pycocotools import mask as coco_mask

from ...datasets.segmentation import encode, rle_fault
from ...datasets.values import finite

# By EXIF orientation: swap x and y, then flip x, then flip y.
ROTATIONS = {
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


def rotate(annotation: Dict, orientation: int, stored: Tuple[int, int]) -> Dict:
    """Rotate an annotation of the stored pixels as EXIF rotates the image.

    Args:
        annotation: COCO's entry, with a box of four numbers.
        orientation: EXIF orientation, 2 to 8.
        stored: Width and height in pixels before the rotation.
    """
    swap, flip_x, flip_y = ROTATIONS[orientation]
    size = np.array(stored[::-1] if swap else stored)

    def move(points: np.ndarray) -> np.ndarray:
        points = points[:, ::-1] if swap else points
        return np.where((flip_x, flip_y), size - points, points)

    def move_mask(mask: np.ndarray) -> np.ndarray:
        mask = mask.T if swap else mask
        return mask[:: -1 if flip_y else 1, :: -1 if flip_x else 1]

    return _apply(annotation, move, move_mask, stored)


def scale(annotation: Dict, stated: Tuple[int, int], size: Tuple[int, int]) -> Dict:
    """Scale an annotation from the stated to the true width and height of its image."""
    factors = np.array(size) / np.array(stated)

    def move_mask(mask: np.ndarray) -> np.ndarray:
        rows = (np.arange(size[1]) + 0.5) / factors[1]
        columns = (np.arange(size[0]) + 0.5) / factors[0]
        return mask[np.ix_(rows.astype(int), columns.astype(int))]

    moved = _apply(annotation, lambda points: points * factors, move_mask, stated)
    if finite(moved.get('area')):
        moved['area'] = moved['area'] * float(factors.prod())
    return moved


def _apply(annotation: Dict, move, move_mask, size: Tuple[int, int]) -> Dict:
    x, y, w, h = annotation['bbox']
    corners = move(np.array([[x, y], [x + w, y + h]], dtype=float))
    low, high = corners.min(0), corners.max(0)
    moved = dict(annotation, bbox=[float(v) for v in (*low, *(high - low))])
    segmentation = annotation.get('segmentation')
    if isinstance(segmentation, list):
        moved['segmentation'] = [_move_polygon(polygon, move) for polygon in segmentation]
    elif isinstance(segmentation, dict) and not rle_fault(segmentation, size):
        mask = move_mask(coco_mask.decode(encode(segmentation, size)))
        rle = coco_mask.encode(np.asfortranarray(mask))
        moved['segmentation'] = dict(size=rle['size'], counts=rle['counts'].decode())
    return moved


def _move_polygon(polygon, move):
    try:
        points = np.asarray(polygon, dtype=float).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        return polygon  # reported as a bad polygon afterwards
    return [float(value) for value in move(points).ravel()]
