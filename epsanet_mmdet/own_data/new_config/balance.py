"""Showing images with rare classes more often."""

import math
from collections import Counter
from statistics import median
from typing import Dict, NamedTuple, Set

from ..formats.split import Split


class Balance(NamedTuple):
    """The threshold of ``ClassBalancedDataset``, and the reason."""

    threshold: float
    why: str


def balance_classes(train: Split) -> Balance:
    """Choose the share of images below which images with a class are repeated."""
    found: Dict[int, Set[int]] = {image['id']: set() for image in train.images}
    for annotation in train.annotations:
        found[annotation['image_id']].add(annotation['category_id'])
    images = [classes for classes in found.values() if classes]  # mmdet leaves out the others
    shares = {c: n / len(images) for c, n in Counter(c for i in images for c in i).items()}
    threshold = round(median(shares.values()), 4)
    repeats = {c: max(1.0, math.sqrt(threshold / share)) for c, share in shares.items()}
    length = sum(math.ceil(max(repeats[c] for c in image)) for image in images)
    why = (
        f'images with a class that is in fewer than {threshold:.1%} of them (the median of the '
        'classes) are repeated, with the square root of its rarity '
        f'(https://arxiv.org/abs/1908.03195): an epoch has {length} images instead of {len(images)}'
    )
    return Balance(threshold, why)
