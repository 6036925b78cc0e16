"""Checks of masks: polygons and run lengths.

pycocotools is compiled code that trusts its input; masks that would crash it are refused here.
"""

from typing import List, Optional, Sequence, Tuple

import numpy as np
from pycocotools import mask as coco_mask

from ..utils.images import MAX_PIXELS
from ..utils.text import printable

LONGEST_OUTLINE = 2**21  # pixels; pycocotools allocates 50 bytes for each


def polygon_fault(polygon) -> Optional[str]:
    """Return the fault in the form of a polygon, or None."""
    if not isinstance(polygon, list):
        return 'is not a list of numbers'
    try:
        sum(polygon)  # numpy would convert text to numbers
        points = np.asarray(polygon, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return 'is not a list of numbers'
    if points.ndim != 1 or not np.isfinite(points).all():
        return 'is not a list of finite numbers'
    if len(points) % 2:
        return f'has an odd number of coordinates ({len(points)})'
    if len(points) < 6:
        return f'has {len(points) // 2} points, fewer than three'
    xs, ys = points[::2], points[1::2]
    xs, ys = xs - xs[0], ys - ys[0]
    with np.errstate(over='ignore', invalid='ignore'):  # outline_fault refuses such numbers
        twice = xs @ np.roll(ys, -1) - ys @ np.roll(xs, -1)
    if twice == 0:
        return 'encloses nothing'
    return None


def outline_fault(polygons: Sequence[Sequence[float]], size: Tuple[float, float]) -> Optional[str]:
    """Return why polygons of finite numbers cannot be rasterised, or None.

    pycocotools crops masks to the image, but first lists every fifth of a pixel along the whole
    outline. Outlines that extend past the edge are common where images were cut out of larger
    ones. One that extends farther than the image is large is a mistake.

    Args:
        polygons: Lists of x, y, x, y, ... in pixels.
        size: Width and height of the image in pixels.
    """
    reach = min(max(size), MAX_PIXELS)
    for polygon in polygons:
        if polygon and (min(polygon) < -reach or max(polygon) > 2 * reach):
            return f'has a point far outside the {size[0]:g}x{size[1]:g} image'
    at_most = 3 * reach * sum(map(len, polygons)) / 2
    if at_most > LONGEST_OUTLINE and sum(map(_length, polygons)) > LONGEST_OUTLINE:
        return f'has an outline of more than {LONGEST_OUTLINE} pixels'
    return None


def _length(polygon: Sequence[float]) -> float:
    points = np.asarray(polygon[: len(polygon) // 2 * 2], dtype=float).reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, 0)).max(1).sum()) if len(points) else 0.0


def rle_fault(rle, size: Tuple[int, int], may_be_empty: bool = False) -> Optional[str]:
    """Return the fault of run lengths, or None.

    Args:
        rle: COCO's ``size`` and ``counts``.
        size: Width and height of the image in pixels.
        may_be_empty: Accept a mask without a pixel, which a detection may have.
    """
    stated = rle.get('size')
    if not isinstance(stated, (list, tuple)) or len(stated) != 2:
        return 'its mask has no size'
    if not all(type(side) is int for side in stated):
        return 'the size of its mask is not two whole numbers'
    if list(stated) != [size[1], size[0]]:
        shown = 'x'.join(printable(side, 20) for side in reversed(stated))
        return f'its mask is {shown}, the image {size[0]}x{size[1]}'
    if stated[0] * stated[1] > MAX_PIXELS:
        return f'its mask has more than {MAX_PIXELS} pixels'
    runs = rle_runs(rle.get('counts'))
    if runs is None:
        return 'its mask has no readable counts'
    if (runs < 0).any() or runs.sum() != size[0] * size[1]:
        return "its mask's counts do not add up to the image"
    return None if may_be_empty or runs[1::2].sum() else 'its mask is empty'


def rle_runs(counts) -> Optional[np.ndarray]:
    """Decode run lengths, compressed or not; return None if they are malformed."""
    if isinstance(counts, list):
        if not all(type(count) is int and abs(count) < 2**53 for count in counts):
            return None
        return np.array(counts, dtype=np.int64)
    if isinstance(counts, str):
        counts = counts.encode('latin-1', 'replace')
    if not isinstance(counts, bytes) or not counts:
        return None
    digits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        return None
    ends = np.flatnonzero(digits & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() > 9:  # no run needs more digits
        return None
    place = np.arange(len(digits)) - np.repeat(starts, ends - starts + 1)
    values = np.add.reduceat((digits & 31) << (5 * place), starts)
    negative = digits[ends] & 16 != 0
    values[negative] -= 1 << (5 * (ends - starts + 1)[negative])
    values[1::2] = np.cumsum(values[1::2])  # from the third on, differences to the last but one
    values[2::2] = np.cumsum(values[2::2])
    return values


def encode(rle, size: Tuple[int, int]):
    """Return checked run lengths in pycocotools' compressed form."""
    if isinstance(rle['counts'], list):
        return coco_mask.frPyObjects(rle, size[1], size[0])
    return rle


def box_of(segmentation, size: Tuple[int, int]) -> List[float]:
    """Return the box [x, y, width, height] around a checked segmentation."""
    if isinstance(segmentation, dict):
        return [float(value) for value in coco_mask.toBbox(encode(segmentation, size))]
    points = np.concatenate([np.asarray(p, dtype=float) for p in segmentation])
    (x1, y1), (x2, y2) = points.reshape(-1, 2).min(0), points.reshape(-1, 2).max(0)
    return [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]


def area_of(segmentation, size: Tuple[int, int]) -> float:
    """Return the area in pixels of a checked segmentation."""
    if isinstance(segmentation, dict):
        return float(coco_mask.area(encode(segmentation, size)))
    rles = coco_mask.frPyObjects(segmentation, size[1], size[0])
    return float(coco_mask.area(coco_mask.merge(rles)))
