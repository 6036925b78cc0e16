"""Annotations that a training cannot use, told apart quickly: a data set has a million."""

import math
from typing import Any, Dict, Optional, Sequence

from .checking.segmentation import rle_fault
from .checking.values import finite, four_numbers
from .image_files import MAX_PIXELS
from .printable import printable

EMPTY = 'nothing to learn from: '  # begins what mmdet leaves out by itself, such as COCO's own


def image_fault(image: Dict[str, Any]) -> Optional[str]:
    """Say what is wrong with COCO's entry of an image, or None."""
    size = [image.get('width'), image.get('height')]
    if not all(finite(side) and side >= 1 for side in size) or size[0] * size[1] > MAX_PIXELS:
        return f'its stated size is {printable(size[0], 20)}x{printable(size[1], 20)}'
    return None


def annotation_fault(
    annotation: Dict[str, Any], image: Dict[str, Any], categories: Sequence, needs_mask: bool
) -> Optional[str]:
    """Say what is wrong with COCO's entry of an object, or None.

    Args:
        annotation: The entry.
        image: That of its image, which is good.
        categories: Ids of the file's categories.
        needs_mask: Whether masks are loaded.

    Returns:
        The fault; it begins with :data:`EMPTY` where mmdet ignores the object anyway.
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
    fault = mask_fault(annotation.get('segmentation'), image, needs_mask)
    return fault or _emptiness(box, area, image)


def mask_fault(
    segmentation: Any, image: Dict[str, Any], needs_mask: bool = False, may_be_empty: bool = False
) -> Optional[str]:
    """Say why pycocotools, which trusts its input, must not see a segmentation, or None.

    Args:
        segmentation: Polygons, run lengths, or nothing.
        image: COCO's entry of its image, which is good.
        needs_mask: Whether there must be one.
        may_be_empty: As of :func:`rle_fault`.
    """
    if not segmentation:
        return 'it has no mask' if needs_mask else None
    if isinstance(segmentation, dict):
        return rle_fault(segmentation, (image['width'], image['height']), may_be_empty)
    if not isinstance(segmentation, list):
        return 'its segmentation is no polygons or mask'
    try:
        if all(math.isfinite(sum(polygon)) for polygon in segmentation):
            return None
    except (TypeError, OverflowError):
        pass
    return 'its polygons are not lists of finite numbers'


def _emptiness(box: Sequence[float], area: float, image: Dict[str, Any]) -> Optional[str]:
    x, y, w, h = box
    if min(w, h) < 1 or area <= 0:
        return f'{EMPTY}its bbox [{x:g}, {y:g}, {w:g}, {h:g}] or area is under a pixel'
    if min(x + w, image['width']) <= max(x, 0) or min(y + h, image['height']) <= max(y, 0):
        return f'{EMPTY}its bbox [{x:g}, {y:g}, {w:g}, {h:g}] is outside the image'
    return None
