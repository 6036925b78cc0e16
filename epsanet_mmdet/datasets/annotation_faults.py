"""Faults of annotations, found quickly: a data set has a million of them."""

import math
from typing import Any, Dict, Optional, Sequence

from ..utils.images import MAX_PIXELS
from ..utils.text import printable
from .segmentation import outline_fault, rle_fault
from .values import finite, four_numbers

EMPTY = 'nothing to learn from: '  # prefix of faults that mmdet ignores; COCO has some


def image_fault(image: Dict[str, Any]) -> Optional[str]:
    """Return the fault of a COCO entry of an image, or None."""
    size = [image.get('width'), image.get('height')]
    if not all(finite(side) and side >= 1 for side in size) or size[0] * size[1] > MAX_PIXELS:
        return f'its stated size is {printable(size[0], 20)}x{printable(size[1], 20)}'
    return None


def annotation_fault(
    annotation: Dict[str, Any],
    image: Dict[str, Any],
    categories: Sequence,
    needs_mask: bool,
    evaluated: bool = False,
) -> Optional[str]:
    """Return the fault of a COCO entry of an object, or None.

    Args:
        annotation: The entry.
        image: The entry of its image, which has no fault.
        categories: Ids of the file's categories.
        needs_mask: True if masks are loaded, so that an object without one is a fault.
        evaluated: See :func:`mask_fault`.

    Returns:
        The fault; it begins with :data:`EMPTY` if mmdet ignores such an object.
    """
    box = four_numbers(annotation.get('bbox'))
    if box is None:
        return f'its bbox {printable(annotation.get("bbox"), 60)} is not four finite numbers'
    category = annotation.get('category_id')
    if not isinstance(category, (int, str)) or category not in categories:
        return f'there is no category {printable(category, 30)}'
    if annotation.get('iscrowd', 0) not in (0, 1):
        return f'its iscrowd is {printable(annotation["iscrowd"], 30)}, not 0 or 1'
    area = annotation.get('area')
    if not finite(area):
        return f'its area is {printable(area, 30)}'
    segmentation = annotation.get('segmentation')
    if not segmentation:
        fault = 'it has no mask' if needs_mask else None
    else:
        fault = mask_fault(segmentation, image, evaluated)
    return fault or _emptiness(box, area, image)


def mask_fault(segmentation: Any, image: Dict[str, Any], evaluated: bool = False) -> Optional[str]:
    """Return why pycocotools, which trusts its input, must not see a segmentation, or None.

    Args:
        segmentation: Polygons or run lengths.
        image: COCO entry of its image, which has no fault.
        evaluated: True if pycocotools reads the file itself: a polygon of fewer than three points
            is then a fault, and an empty mask is none. Training leaves out both.
    """
    size = (image['width'], image['height'])
    if isinstance(segmentation, dict):
        return rle_fault(segmentation, size, may_be_empty=evaluated)
    if not isinstance(segmentation, list):
        return 'its segmentation is neither polygons nor a mask'
    try:
        if not all(math.isfinite(sum(polygon)) for polygon in segmentation):
            return 'its polygons are not lists of finite numbers'
    except (TypeError, OverflowError):
        return 'its polygons are not lists of finite numbers'
    if evaluated and any(len(polygon) < 6 for polygon in segmentation):
        return 'one of its polygons has fewer than three points'
    fault = outline_fault(segmentation, size)
    return fault and f'its mask {fault}'


def _emptiness(box: Sequence[float], area: float, image: Dict[str, Any]) -> Optional[str]:
    x, y, w, h = box
    if min(w, h) < 1 or area <= 0:
        return f'{EMPTY}its bbox [{x:g}, {y:g}, {w:g}, {h:g}] or area is under a pixel'
    if min(x + w, image['width']) <= max(x, 0) or min(y + h, image['height']) <= max(y, 0):
        return f'{EMPTY}its bbox [{x:g}, {y:g}, {w:g}, {h:g}] is outside the image'
    return None
