"""Checks of a data set as a whole: its splits, its classes, its sizes."""

from collections import Counter
from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np

from ...datasets.checks import masks_fault
from ..findings import Findings
from ..formats.split import Split

IMBALANCE = 100  # times more objects of the most frequent class than of the rarest
FEW = 10  # objects of a class
TYPICAL = 20  # objects of a class that suffice to know its usual size
SMALLER = 400  # times smaller in area, 20 in width and height: absurd unless the class varies so
DEVIATIONS = 6  # robust standard deviations of the logarithm of the area
SIZE_EDGES = (8, 16, 32, 64, 96, 128, 256, 512)  # pixels; COCO's small ends at 32, medium at 96


def check_sets(splits: Sequence[Split], findings: Findings) -> None:
    """Check repaired splits, and remove images from training that are in evaluation too."""
    for split in splits:
        _check_content(split, findings)
        _check_copies(split, findings)
    _check_leakage(splits, findings)
    for split in splits:
        _check_classes(split, findings)
    for split, annotation, usual in absurdly_small(splits):
        x, y, w, h = annotation['bbox']
        names = {category['id']: category['name'] for category in split.categories}
        findings.warning(
            'absurdly-small',
            split.place_of('annotation', annotation),
            f'its bbox [{x:g}, {y:g}, {w:g}, {h:g}] is {w:g}x{h:g} pixels, where '
            f"'{names[annotation['category_id']]}' usually has {usual:.0f}x{usual:.0f}: "
            'a slip of the mouse?',
        )


def absurdly_small(splits: Sequence[Split]) -> Iterator[Tuple[Split, Dict, float]]:
    """Find objects whose box is absurdly small for their class.

    Sizes are compared on a logarithmic scale, by the median and the median absolute deviation of
    the class over all splits. In a class of varying sizes, such as people near and far, an object
    may be much smaller than usual.

    Yields:
        The split, the annotation, and the usual size of its class: the square root of the median
        area of its boxes, in pixels.
    """
    entries = [(split, a) for split in splits for a in split.annotations if not a.get('iscrowd')]
    areas = np.array([a['bbox'][2] * a['bbox'][3] for _, a in entries], dtype=float)
    classes = np.array([a['category_id'] for _, a in entries])
    logs = np.log(np.maximum(areas, 1e-9))
    for number in np.unique(classes):
        mine = np.flatnonzero(classes == number)
        if len(mine) < TYPICAL:
            continue
        usual = np.median(logs[mine])
        deviation = 1.4826 * np.median(np.abs(logs[mine] - usual))
        least = usual - max(np.log(SMALLER), DEVIATIONS * deviation)
        for i in mine[logs[mine] < least]:
            yield (*entries[i], float(np.exp(usual / 2)))


def class_counts(split: Split) -> Dict[str, int]:
    """Count the objects of each class, in the categories' order."""
    counts = Counter(annotation['category_id'] for annotation in split.annotations)
    return {category['name']: counts[category['id']] for category in split.categories}


def size_histogram(split: Split) -> List[Tuple[str, int]]:
    """Count objects by the square root of their box's area in pixels."""
    counts = np.histogram(object_sizes(split), [0, *SIZE_EDGES, np.inf])[0].tolist()
    labels = [f'{low}-{high}' for low, high in zip(SIZE_EDGES, SIZE_EDGES[1:])]
    return list(zip([f'< {SIZE_EDGES[0]}', *labels, f'>= {SIZE_EDGES[-1]}'], counts))


def object_sizes(split: Split) -> List[float]:
    """Return the square root of each box's area, in pixels."""
    return [(a['bbox'][2] * a['bbox'][3]) ** 0.5 for a in split.annotations]


def mask_count(split: Split) -> int:
    return sum(bool(annotation.get('segmentation')) for annotation in split.annotations)


def _check_content(split: Split, findings: Findings) -> None:
    if not split.images:
        findings.error('no-images', split.source, f'split {split.name} has no usable image')
    elif not split.annotations:
        findings.error('no-objects', split.source, f'split {split.name} has no usable annotation')
    masks = mask_count(split)
    if 0 < masks < len(split.annotations):
        findings.warning(
            'mixed-masks',
            split.source,
            f'{len(split.annotations) - masks} of {len(split.annotations)} annotations have no '
            'mask: only boxes can be trained',
        )
    annotated = {annotation['image_id'] for annotation in split.annotations}
    masked = Counter(a['image_id'] for a in split.annotations if a.get('segmentation'))
    for image in split.images:
        fault = masks_fault((image['width'], image['height']), masked[image['id']])
        if fault:
            place = split.place_of('image', image)
            findings.warning('gigantic-masks', place, f'{fault}, or train on boxes only')
        if image['id'] not in annotated:
            findings.warning(
                'no-annotations',
                split.place_of('image', image),
                f"'{image['file_name']}' has no annotations: correct if it shows no object",
            )


def _check_copies(split: Split, findings: Findings) -> None:
    first: Dict[str, Dict] = {}
    for image in split.images:
        other = first.setdefault(split.digests[image['id']], image)
        if other is not image:
            findings.warning(
                'duplicate-image',
                split.place_of('image', image),
                f"'{image['file_name']}' is identical to '{other['file_name']}'",
            )


def _check_leakage(splits: Sequence[Split], findings: Findings) -> None:
    order = dict(test=0, val=1)
    taken: Dict[str, Tuple[Split, Dict]] = {}
    for split in sorted(splits, key=lambda split: order.get(split.name, 2)):
        leaked = set()
        for image in split.images:
            other = taken.get(split.digests[image['id']])
            if other:
                leaked.add(image['id'])
                findings.error(
                    'leakage',
                    split.place_of('image', image),
                    f"'{image['file_name']}' of {split.name} is identical to "
                    f"'{other[1]['file_name']}' (image {other[1]['id']}) of {other[0].name}",
                    f'left out of {split.name}',
                )
        for image in split.images:
            taken.setdefault(split.digests[image['id']], (split, image))
        split.images = [image for image in split.images if image['id'] not in leaked]
        split.annotations = [a for a in split.annotations if a['image_id'] not in leaked]


def _check_classes(split: Split, findings: Findings) -> None:
    counts = class_counts(split)
    present = {name: count for name, count in counts.items() if count}
    if not present:
        return
    for name, count in counts.items():
        if not count:
            findings.warning('unused-class', split.source, f"class '{name}' has no objects")
        elif count < FEW and split.name not in ('val', 'test'):
            findings.warning('rare-class', split.source, f"class '{name}' has only {count} objects")
    most, least = max(present, key=present.get), min(present, key=present.get)
    if present[most] >= IMBALANCE * present[least]:
        message = f"class '{most}' has {present[most]} objects, '{least}' only {present[least]}"
        findings.warning('class-imbalance', split.source, message)
