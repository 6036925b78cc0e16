"""Choosing the splits to train, validate and test on."""

import hashlib
from collections import Counter
from dataclasses import replace
from typing import Dict, List, NamedTuple

from ..errors import DataError
from .formats.split import Split
from .lint import CheckedData

SHARE = 0.2  # of the images are held out where there are none to validate on


class Roles(NamedTuple):
    """Splits by role.

    Args:
        splits: By ``'train'``, ``'val'`` and, if there is one, ``'test'``.
        held_out: True if ``'val'`` was held out of ``'train'``.
    """

    splits: Dict[str, Split]
    held_out: bool

    @property
    def train(self) -> Split:
        return self.splits['train']

    @property
    def val(self) -> Split:
        return self.splits['val']


def assign_roles(data: CheckedData) -> Roles:
    """Find the splits to train, validate and test on, and hold out one to validate on if needed.

    Raises:
        DataError: If the names of the splits leave open which one to train on.
    """
    splits = {split.name: split for split in data.splits}
    others = [name for name in splits if len(splits) == 1 or name not in ('val', 'test')]
    if len(others) != 1:
        names = ', '.join(f"'{split.name}' of {split.source}" for split in data.splits)
        raise DataError(
            f'cannot choose a split to train on among {names or "none"}; provide exactly one that '
            "is not called 'val' or 'test', and call the others so"
        )
    roles = {'train': splits.pop(others[0]), **splits}
    held_out = 'val' not in roles
    if held_out:
        roles['train'], roles['val'] = split_off(roles['train'])
    return Roles(
        {role: roles[role] for role in ('train', 'val', 'test') if role in roles}, held_out
    )


def split_off(split: Split) -> List[Split]:
    """Hold out a fifth of the images, chosen by a hash of their names: the same ones each time.

    Identical images stay together. An image with the last objects of a class is not held out.

    Returns:
        The rest, called ``'train'``, and what is held out, called ``'val'``.

    Raises:
        DataError: If there are fewer than two different images with objects.
    """
    labels: Dict[int, Counter] = {image['id']: Counter() for image in split.images}
    for annotation in split.annotations:
        labels[annotation['image_id']][annotation['category_id']] += 1
    groups: Dict[str, List[Dict]] = {}
    for image in sorted(split.images, key=lambda image: _hash(image['file_name'])):
        groups.setdefault(split.digests[image['id']], []).append(image)
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
            f"'{split.source}' has too few images of each class to hold some out; provide a split "
            'to validate on'
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
