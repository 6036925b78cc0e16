"""Checks of the annotations: their entries, boxes and masks."""

from typing import Dict, List, Optional, Tuple

import numpy as np

from ...datasets.segmentation import area_of, box_of, outline_fault, polygon_fault, rle_fault
from ...datasets.values import finite, four_numbers, whole
from ..findings import Findings
from ..formats.split import Split
from .images import ImageCheck

TOLERANCE = 1.0  # pixels that a box may reach over the edge: real data sets round
SMALLEST = 1.0  # pixels; mmdet leaves out what is narrower


def check_annotations(
    split: Split, images: ImageCheck, categories: Dict[int, int], findings: Findings
) -> List[Dict]:
    """Check the annotations of a split, and return the good and the repaired ones."""
    checker = _Checker(split, images, categories, findings)
    return [entry for entry in map(checker.check, split.annotations) if entry is not None]


class _Checker:
    def __init__(
        self, split: Split, images: ImageCheck, categories: Dict[int, int], findings: Findings
    ) -> None:
        self.split, self.images, self.categories = split, images, categories
        self.findings = findings
        self.seen = set()
        ids = [whole(a.get('id')) for a in split.annotations if isinstance(a, dict)]
        self.next_id = max([number for number in ids if number is not None], default=0) + 1

    def check(self, entry) -> Optional[Dict]:
        place = self.split.place_of('annotation', entry)
        if not isinstance(entry, dict):
            self.findings.error('bad-entry', place, 'it is not a COCO annotation', 'left out')
            return None
        original, entry = entry, dict(entry)
        self.check_id(entry, place)
        size, good = self.check_references(entry, place)
        if size is None:  # nothing more can be said without the image
            return None
        move = self.images.move.get(entry['image_id'])
        if move and four_numbers(entry.get('bbox')):
            entry = move(entry)
        for check in (self.check_mask, self.check_box, self.check_rest):
            good = check(entry, size, place) and good
        if not good:
            return None
        return original if entry == original else entry

    def check_id(self, entry: Dict, place) -> None:
        number = whole(entry.get('id'))
        if number is None:
            self.error('bad-entry', place, 'it has no whole id', f'{self.next_id}')
        elif number in self.seen:
            self.error('duplicate-id', place, 'another annotation has this id', f'{self.next_id}')
        elif number == 0:
            self.findings.warning(
                'id-zero', place, 'COCO evaluation takes id 0 for no match', f'{self.next_id}'
            )
        else:
            if type(entry['id']) is not int:
                self.error('bad-entry', place, f'its id {entry["id"]!r} is no number', f'{number}')
                entry['id'] = number
            self.seen.add(number)
            return
        if number is not None:
            self.seen.add(number)
        entry['id'] = self.next_id
        self.next_id += 1

    def check_references(self, entry: Dict, place) -> Tuple[Optional[Tuple[int, int]], bool]:
        """Return the image's size, if that is known, and whether image and category are known."""
        number = whole(entry.get('image_id'))
        category = whole(entry.get('category_id'))
        known_image = number is not None and number in self.images.ids
        known_category = category is not None and category in self.categories
        for kind, known in (('image', known_image), ('category', known_category)):
            if not known:
                stated = entry.get(f'{kind}_id')
                self.error(f'unknown-{kind}', place, f'there is no {kind} {stated!r}', 'left out')
        if known_category:
            entry['category_id'] = self.categories[category]
        if not known_image:
            return None, False
        kept = self.images.ids[number]  # None if the image is left out, which was said
        entry['image_id'] = number if kept is None else kept
        return self.images.size.get(entry['image_id']), known_category and kept is not None

    def check_mask(self, entry: Dict, size: Tuple[int, int], place) -> bool:
        segmentation = entry.get('segmentation')
        if segmentation is None or segmentation == []:
            entry.pop('segmentation', None)
            return True
        if isinstance(segmentation, dict):
            fault = rle_fault(segmentation, size)
            if fault:
                self.error('bad-mask', place, fault, 'left out')
                del entry['segmentation']
            return not fault
        if not isinstance(segmentation, list):
            self.error('bad-mask', place, 'its segmentation is no polygons or mask', 'left out')
            del entry['segmentation']
            return False
        if all(map(finite, segmentation)):
            self.error('bad-mask', place, 'its polygon is not in a list of polygons', 'put in one')
            segmentation = [segmentation]
        good = []
        for i, polygon in enumerate(segmentation, start=1):
            fault = polygon_fault(polygon) or outline_fault([polygon], size)
            if fault:
                self.error('bad-polygon', place, f'polygon {i} {fault}', 'left out')
            else:
                good.append(self.within(polygon, i, size, place))
        entry['segmentation'] = good = [polygon for polygon in good if polygon]
        fault = outline_fault(good, size)
        if fault:
            self.error('bad-mask', place, f'its mask {fault}', 'left out')
        return bool(good) and not fault

    def within(self, polygon: List, i: int, size: Tuple[int, int], place) -> Optional[List]:
        points = np.asarray(polygon, dtype=float).reshape(-1, 2)
        low, high = points.min(0), points.max(0)
        if (low >= -TOLERANCE).all() and (high <= np.array(size) + TOLERANCE).all():
            return polygon
        clipped = [float(value) for value in points.clip(0, size).ravel()]
        if polygon_fault(clipped):
            self.error('outside-polygon', place, f'polygon {i} is outside the image', 'left out')
            return None
        self.findings.warning(
            'polygon-over-edge', place, f'polygon {i} reaches out of the image', 'cut off'
        )
        return clipped

    def check_box(self, entry: Dict, size: Tuple[int, int], place) -> bool:
        mask = entry.get('segmentation')
        remedy = 'taken from its mask' if mask else 'left out'
        box = four_numbers(entry.get('bbox'))
        if box is None:
            shown = str(entry.get('bbox'))[:60]
            self.error('bad-box', place, f'its bbox {shown} is not four finite numbers', remedy)
            return self.take_box(entry, size)
        x, y, w, h = box
        shown = f'[{x:g}, {y:g}, {w:g}, {h:g}]'
        if w < 0 or h < 0:
            self.error('reversed-box', place, f'its bbox {shown} runs backwards', 'turned round')
            x, y, w, h = min(x, x + w), min(y, y + h), abs(w), abs(h)
        if not w or not h:
            self.error('empty-box', place, f'its bbox {shown} has no area', remedy)
            return self.take_box(entry, size)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + w, size[0]), min(y + h, size[1])
        within = max(0, right - left) * max(0, bottom - top) / (w * h)
        image = f'the {size[0]}x{size[1]} image'
        good = [x, y, w, h]
        if within < 0.5:
            remedy = 'cut off' if within and not mask else remedy
            message = f'its bbox {shown} is mostly or all outside {image}'
            self.error('outside-box', place, message, remedy)
            if mask or not within:
                return self.take_box(entry, size)
            good = [left, top, right - left, bottom - top]
        elif min(x, y, size[0] - x - w, size[1] - y - h) < -TOLERANCE:
            message = f'its bbox {shown} reaches out of {image}'
            self.findings.warning('box-over-edge', place, message, 'cut off')
            good = [left, top, right - left, bottom - top]
        if good != box:
            entry['bbox'] = good
            if not mask:
                entry['area'] = good[2] * good[3]
        if min(good[2:]) < SMALLEST:
            self.findings.warning(
                'tiny-box', place, f'its bbox {shown} is under a pixel: mmdet leaves it out'
            )
        return True

    def take_box(self, entry: Dict, size: Tuple[int, int]) -> bool:
        if not entry.get('segmentation'):
            return False
        entry['bbox'] = box_of(entry['segmentation'], size)
        return True

    def check_rest(self, entry: Dict, size: Tuple[int, int], place) -> bool:
        area = entry.get('area')
        if not finite(area) or area <= 0:
            mask, box = entry.get('segmentation'), four_numbers(entry.get('bbox')) or [0] * 4
            true = (area_of(mask, size) if mask else 0) or box[2] * box[3]
            shown = 'no area' if area is None else f'an area of {str(area)[:30]}'
            self.error('bad-area', place, f'it has {shown}', f'{true:g}')
            entry['area'] = true
        crowd = entry.get('iscrowd')
        if not isinstance(crowd, int) or crowd not in (0, 1):
            known = 1 if crowd in ('1', 1.0) else 0
            shown = 'no iscrowd' if crowd is None else f'iscrowd {crowd!r}'
            self.error('bad-iscrowd', place, f'it has {shown}: evaluation needs 0 or 1', f'{known}')
            entry['iscrowd'] = known
        return True

    def error(self, code: str, place, message: str, repair: str) -> None:
        self.findings.error(code, place, message, repair)
