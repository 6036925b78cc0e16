"""Checks of the annotations: their entries, boxes and masks."""

from typing import Dict, List, Optional, Tuple

import numpy as np

from ...datasets.segmentation import area_of, box_of, outline_fault, polygon_fault, rle_fault
from ...datasets.values import finite, four_numbers, whole
from ..findings import Findings
from ..formats.split import Split
from .images import ImageCheck, Size

TOLERANCE = 1.0  # pixels that a box may extend past the edge: real data sets round
SMALLEST = 1.0  # pixels; mmdet leaves out narrower boxes


def check_annotations(
    split: Split, images: ImageCheck, categories: Dict[int, int], findings: Findings
) -> List[Dict]:
    """Check the annotations of a split, and return the good and the repaired ones.

    Args:
        split: The split.
        images: Its checked images.
        categories: The id of the kept category for each id in the annotations.
        findings: Receives the faults.
    """
    checker = _Checker(split, images, categories, findings)
    return [entry for entry in map(checker.check, split.annotations) if entry is not None]


class _Checker:
    """Check annotations one by one; the checks repair an entry, or return False to leave it out."""

    def __init__(
        self, split: Split, images: ImageCheck, categories: Dict[int, int], findings: Findings
    ) -> None:
        self.split, self.images, self.categories = split, images, categories
        self.findings, self.place = findings, ('', '')
        self.seen = set()
        ids = [whole(a.get('id')) for a in split.annotations if isinstance(a, dict)]
        self.next_id = max([number for number in ids if number is not None], default=0) + 1

    def check(self, entry) -> Optional[Dict]:
        self.place = self.split.place_of('annotation', entry)
        if not isinstance(entry, dict):
            self.error('bad-entry', 'it is not a COCO annotation', 'left out')
            return None
        original, entry = entry, dict(entry)
        self.check_id(entry)
        size, good = self.check_references(entry)
        if size is None:  # nothing more can be checked without the image
            return None
        move = self.images.move.get(entry['image_id'])
        if move and four_numbers(entry.get('bbox')):
            entry = move(entry)
        for check in (self.check_mask, self.check_box, self.check_rest):
            good = check(entry, size) and good
        if not good:
            return None
        return original if entry == original else entry

    def check_id(self, entry: Dict) -> None:
        number = whole(entry.get('id'))
        if number is None:
            self.error('bad-entry', 'it has no whole id', f'{self.next_id}')
        elif number in self.seen:
            self.error('duplicate-id', 'another annotation has this id', f'{self.next_id}')
        elif number == 0:
            self.warning('id-zero', 'COCO evaluation treats id 0 as no match', f'{self.next_id}')
        else:
            if type(entry['id']) is not int:
                self.error('bad-entry', f'its id {entry["id"]!r} is not a number', f'{number}')
                entry['id'] = number
            self.seen.add(number)
            return
        if number is not None:
            self.seen.add(number)
        entry['id'] = self.next_id
        self.next_id += 1

    def check_references(self, entry: Dict) -> Tuple[Optional[Size], bool]:
        """Return the size of the image, if known, and True if image and category are usable."""
        number = whole(entry.get('image_id'))
        category = whole(entry.get('category_id'))
        known_image = number is not None and number in self.images.ids
        known_category = category is not None and category in self.categories
        for kind, known in (('image', known_image), ('category', known_category)):
            if not known:
                stated = entry.get(f'{kind}_id')
                self.error(f'unknown-{kind}', f'there is no {kind} {stated!r}', 'left out')
        if known_category:
            entry['category_id'] = self.categories[category]
        if not known_image:
            return None, False
        kept = self.images.ids[number]  # None if the image is left out, which is reported there
        entry['image_id'] = number if kept is None else kept
        return self.images.size.get(entry['image_id']), known_category and kept is not None

    def check_mask(self, entry: Dict, size: Size) -> bool:
        segmentation = entry.get('segmentation')
        if segmentation is None or segmentation == []:
            entry.pop('segmentation', None)
            return True
        if isinstance(segmentation, dict):
            fault = rle_fault(segmentation, size)
            if fault:
                self.error('bad-mask', fault, 'left out')
                del entry['segmentation']
            return not fault
        if not isinstance(segmentation, list):
            self.error('bad-mask', 'its segmentation is neither polygons nor a mask', 'left out')
            del entry['segmentation']
            return False
        if all(map(finite, segmentation)):
            self.error('bad-mask', 'its polygon is not in a list of polygons', 'a list is added')
            segmentation = [segmentation]
        good = []
        for i, polygon in enumerate(segmentation, start=1):
            fault = polygon_fault(polygon) or outline_fault([polygon], size)
            if fault:
                self.error('bad-polygon', f'polygon {i} {fault}', 'left out')
            else:
                good.append(self.within(polygon, i, size))
        entry['segmentation'] = good = [polygon for polygon in good if polygon]
        fault = outline_fault(good, size)
        if fault:
            self.error('bad-mask', f'its mask {fault}', 'left out')
        return bool(good) and not fault

    def within(self, polygon: List, i: int, size: Size) -> Optional[List]:
        points = np.asarray(polygon, dtype=float).reshape(-1, 2)
        low, high = points.min(0), points.max(0)
        if (low >= -TOLERANCE).all() and (high <= np.array(size) + TOLERANCE).all():
            return polygon
        clipped = [float(value) for value in points.clip(0, size).ravel()]
        if polygon_fault(clipped):
            self.error('outside-polygon', f'polygon {i} is outside the image', 'left out')
            return None
        self.warning('polygon-over-edge', f'polygon {i} extends past the image', 'cropped')
        return clipped

    def check_box(self, entry: Dict, size: Size) -> bool:
        mask = entry.get('segmentation')
        remedy = 'taken from its mask' if mask else 'left out'
        box = four_numbers(entry.get('bbox'))
        if box is None:
            shown = str(entry.get('bbox'))[:60]
            self.error('bad-box', f'its bbox {shown} is not four finite numbers', remedy)
            return self.take_box(entry, size)
        x, y, w, h = box
        shown = f'[{x:g}, {y:g}, {w:g}, {h:g}]'
        if w < 0 or h < 0:
            self.error('reversed-box', f'its bbox {shown} runs backwards', 'reversed')
            x, y, w, h = min(x, x + w), min(y, y + h), abs(w), abs(h)
        if not w or not h:
            self.error('empty-box', f'its bbox {shown} has no area', remedy)
            return self.take_box(entry, size)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + w, size[0]), min(y + h, size[1])
        within = max(0, right - left) * max(0, bottom - top) / (w * h)
        image = f'the {size[0]}x{size[1]} image'
        good = [x, y, w, h]
        if within < 0.5:
            remedy = 'cropped' if within and not mask else remedy
            self.error('outside-box', f'its bbox {shown} is mostly outside {image}', remedy)
            if mask or not within:
                return self.take_box(entry, size)
            good = [left, top, right - left, bottom - top]
        elif min(x, y, size[0] - x - w, size[1] - y - h) < -TOLERANCE:
            self.warning('box-over-edge', f'its bbox {shown} extends past {image}', 'cropped')
            good = [left, top, right - left, bottom - top]
        if good != box:
            entry['bbox'] = good
            if not mask:
                entry['area'] = good[2] * good[3]
        if min(good[2:]) < SMALLEST:
            self.warning('tiny-box', f'its bbox {shown} is under a pixel: mmdet leaves it out')
        return True

    def take_box(self, entry: Dict, size: Size) -> bool:
        if not entry.get('segmentation'):
            return False
        entry['bbox'] = box_of(entry['segmentation'], size)
        return True

    def check_rest(self, entry: Dict, size: Size) -> bool:
        area = entry.get('area')
        if not finite(area) or area <= 0:
            mask, box = entry.get('segmentation'), four_numbers(entry.get('bbox')) or [0] * 4
            true = (area_of(mask, size) if mask else 0) or box[2] * box[3]
            shown = 'no area' if area is None else f'an area of {str(area)[:30]}'
            self.error('bad-area', f'it has {shown}', f'{true:g}')
            entry['area'] = true
        crowd = entry.get('iscrowd')
        if not isinstance(crowd, int) or crowd not in (0, 1):
            known = 1 if crowd in ('1', 1.0) else 0
            shown = 'no iscrowd' if crowd is None else f'iscrowd {crowd!r}'
            self.error('bad-iscrowd', f'it has {shown}: evaluation requires 0 or 1', f'{known}')
            entry['iscrowd'] = known
        return True

    def error(self, code: str, message: str, repair: str) -> None:
        self.findings.error(code, self.place, message, repair)

    def warning(self, code: str, message: str, repair: str = '') -> None:
        self.findings.warning(code, self.place, message, repair)
