"""The one in-memory form of all formats: COCO's."""

import os.path as osp
import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Dict, List, Optional, Tuple

from ..utils.text import printable

SPLITS = dict(train='train', training='train', val='val', valid='val', validation='val')
SPLITS.update(test='test', testing='test')


@dataclass
class Split:
    """One split of a data set.

    Args:
        name: ``'train'``, ``'val'``, ``'test'``, or what else its file is called.
        source: File or folder that it was read from.
        format: ``'coco'``, ``'voc'`` or ``'yolo'``.
        image_dir: Folder that the images' ``file_name`` are relative to.
        images: COCO's entries. Those of VOC and YOLO also say where they were read, under
            ``'_place'``.
        annotations: As ``images``.
        categories: As ``images``.
    """

    name: str
    source: str
    format: str
    image_dir: str
    images: List[Dict] = field(default_factory=list)
    annotations: List[Dict] = field(default_factory=list)
    categories: List[Dict] = field(default_factory=list)

    def path_of(self, file_name: str) -> str:
        return osp.normpath(osp.join(self.image_dir, file_name))

    @property
    def classes(self) -> List[str]:
        return [category['name'] for category in self.categories]


def place_of(split: Split, kind: str, entry) -> Tuple[str, str]:
    """Return the file of an entry, and its place there."""
    if isinstance(entry, dict):
        if '_place' in entry:
            return entry['_place']
        name = ''
        if kind == 'image' and 'file_name' in entry:
            name = f' ({printable(entry["file_name"], 200)})'
        return split.source, f'{kind} {printable(entry.get("id", "without id"), 40)}{name}'
    return split.source, f'{kind} {printable(entry, 40)}'


def split_name(path: PurePath) -> Optional[str]:
    """Recognise ``train``, ``val`` or ``test`` as a word in a path, in its last parts first."""
    for part in reversed(path.parts):
        for word in re.split(r'[^a-z]+', part.lower()):
            if word in SPLITS:
                return SPLITS[word]
    return None


def leaves_root(file_name: str) -> bool:
    """Return True if a file name points out of the folder that it is relative to."""
    name = file_name.replace('\\', '/')
    return (
        osp.isabs(name)
        or re.match(r'[A-Za-z]:', name) is not None
        or '\0' in name
        or osp.normpath(name).split('/')[0] == '..'
    )


def is_inside(path, folder) -> bool:
    """Return True if a path, as it is written, lies in a folder; links are not followed."""
    path, folder = osp.abspath(path), osp.abspath(folder)
    return osp.commonpath([path, folder]) == folder
