"""The one in-memory form of all formats, which is COCO's."""

import os.path as osp
import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Dict, List, Optional, Tuple

from ...utils.text import printable

NAMES = {
    **dict.fromkeys(('train', 'training'), 'train'),
    **dict.fromkeys(('val', 'valid', 'validation'), 'val'),
    **dict.fromkeys(('test', 'testing'), 'test'),
}


@dataclass
class Split:
    """One split of a data set.

    Args:
        name: ``'train'``, ``'val'``, ``'test'``, or the name of its file.
        source: File or folder that it was read from.
        format: ``'coco'``, ``'voc'`` or ``'yolo'``.
        image_dir: Folder that the images' ``file_name`` are relative to.
        images: COCO's entries. Those of VOC and YOLO have their file and the place in it under
            ``'_place'``.
        annotations: Like ``images``.
        categories: Like ``images``.
        digests: Hash of the pixels by image id, after a check.
    """

    name: str
    source: str
    format: str
    image_dir: str
    images: List[Dict] = field(default_factory=list)
    annotations: List[Dict] = field(default_factory=list)
    categories: List[Dict] = field(default_factory=list)
    digests: Dict[int, str] = field(default_factory=dict)

    @property
    def classes(self) -> List[str]:
        return [category['name'] for category in self.categories]

    def path_of(self, file_name: str) -> str:
        return osp.normpath(osp.join(self.image_dir, file_name))

    def place_of(self, kind: str, entry) -> Tuple[str, str]:
        """Return the file of an entry, which is an ``'image'`` for example, and its place there."""
        if not isinstance(entry, dict):
            return self.source, f'{kind} {printable(entry, 40)}'
        if '_place' in entry:
            return entry['_place']
        name = ''
        if kind == 'image' and 'file_name' in entry:
            name = f' ({printable(entry["file_name"], 200)})'
        return self.source, f'{kind} {printable(entry.get("id", "without id"), 40)}{name}'


def split_name(path: PurePath) -> Optional[str]:
    """Recognise ``train``, ``val`` or ``test`` as a word in a path, in its last parts first."""
    for part in reversed(path.parts):
        for word in re.split(r'[^a-z]+', part.lower()):
            if word in NAMES:
                return NAMES[word]
    return None
