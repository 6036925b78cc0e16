"""Choosing what to train and what to validate on."""

import hashlib
from collections import Counter
from dataclasses import replace
from typing import Dict, List, NamedTuple

from ...datasets.split import Split
from ...errors import DataError
from ..lint import CheckedData

SHARE = 0.2  # of the images are split off where there are none to validate on


class Roles(NamedTuple):
    """Splits by what they are for; ``made`` says whether ``val`` was split off ``train``."""

    train: Split
    val: Split
    test: Split
    made: bool


def assign_roles(data: CheckedData) -> Roles:
    """Find the splits to train, validate and test on, splitting one off if need be.

    Raises:
        DataError: If the names of the splits do not say what they are for.
    """
    by_name = {split.name: split for split in data.splits}
    others = [split for split in data.splits if split.name not in ('val', 'test')]
    if len(data.splits) == 1:  # whatever it is called
        by_name, others = {}, data.splits
    if len(others) != 1:
        names = ', '.join(f"'{split.name}' of {split.source}" for split in data.splits)
        raise DataError(
            f'which split to train on cannot be told: there are {names or "none"}; give one that '
            'is not called val or test, and call the others so'
        )
    train, val, made = others[0], by_name.get('val'), False
    if val is None:
        digests = data.images[data.splits.index(train)].facts
        train, val = split_off(train, {n: facts.digest for n, facts in digests.items()})
        made = True
    return Roles(train, val, by_name.get('test', val), made)


def split_off(split: Split, digests: Dict[int, str]) -> List[Split]:
    """Split a fifth of the images off, by a hash of their names: the same ones each time.

    Identical images stay together, and so does an image whose objects are the last of a class.

    Args:
        split: What to split.
        digests: Hash of the pixels by image id.

    Raises:
        DataError: If there are fewer than two different images with objects.
    """
    labels: Dict[int, Counter] = {image['id']: Counter() for image in split.images}
    for annotation in split.annotations:
        labels[annotation['image_id']][annotation['category_id']] += 1
    groups: Dict[str, List[Dict]] = {}
    for image in sorted(split.images, key=lambda image: _hash(image['file_name'])):
        groups.setdefault(digests[image['id']], []).append(image)
    left = sum(labels.values(), Counter())
    wanted = max(1, round(SHARE * len(split.images)))
    chosen: set = set()
    for images in groups.values():
        taken = sum((labels[image['id']] for image in images), Counter())
        if len(chosen) < wanted and taken and all(left[c] > n for c, n in taken.items()):
            chosen.update(image['id'] for image in images)
            left -= taken
    if not chosen:
        raise DataError(
            f"'{split.source}' has too few images of each class to split some off; give data to "
            'validate on too'
        )
    return [
        replace(
            split,
            name=name,
            images=[image for image in split.images if (image['id'] in chosen) is inside],
            annotations=[a for a in split.annotations if (a['image_id'] in chosen) is inside],
        )
        for name, inside in (('train', False), ('val', True))
    ]


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode('utf-8', 'surrogateescape')).digest()
