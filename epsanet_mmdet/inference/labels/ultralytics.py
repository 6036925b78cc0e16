"""Labels for Ultralytics: https://docs.ultralytics.com/datasets, the format since YOLOv5."""

import os
from pathlib import Path
from typing import List, Sequence, Set

import yaml

from ...errors import DataError
from ...utils.files import read_bytes
from ...utils.storage import write_whole
from ...utils.text import printable
from ..sources import Source
from .shapes import Shape

HEAD = '# Predicted labels. After correcting them, set val to a folder of images to validate on.\n'
LONGEST_STEM = 200  # bytes
FORBIDDEN = '\\/:*?"<>|'  # in file names of some system


class UltralyticsLabels:
    """``ultralytics/``: the images, a file of labels for each, and ``data.yaml``.

    Models with masks get segmentation labels, others boxes.

    Args:
        folder: Folder of the folder, see :func:`check_new`.
        classes: Class names.
    """

    FILES = ('ultralytics',)

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self.folder = folder / self.FILES[0]
        self.stems: Set[str] = set()
        content = dict(train='images/train', val=None, names=dict(enumerate(map(str, classes))))
        write_whole(HEAD + yaml.safe_dump(content, sort_keys=False), self.folder / 'data.yaml')

    def add(self, source: Source, size: Sequence[int], shapes: List[Shape]) -> None:
        """Add an image of (height, width) pixels."""
        stem, suffix = self._name(source)
        lines = [_line(shape, *size) + '\n' for shape in shapes]
        # An image without labels would be one without objects, so that they come first.
        write_whole(''.join(lines), self.folder / 'labels' / 'train' / f'{stem}.txt')
        write_whole(read_bytes(source.path), self.folder / 'images' / 'train' / (stem + suffix))

    def close(self) -> None:
        pass

    def _name(self, source: Source) -> tuple:
        """Return a stem that no other image has, and the suffix."""
        name = ''.join('_' if c in FORBIDDEN or not c.isprintable() else c for c in source.name)
        stem, suffix = os.path.splitext(name)
        stem = stem.encode()[:LONGEST_STEM].decode(errors='ignore')
        candidate, number = stem, 2
        while candidate.casefold() in self.stems:
            candidate, number = f'{stem}-{number}', number + 1
        self.stems.add(candidate.casefold())
        return candidate, suffix


def _line(shape: Shape, height: int, width: int) -> str:
    if shape.polygon is not None:
        values = shape.polygon / (width, height)
    else:
        corners = shape.box.reshape(2, 2)
        values = [
            corners.mean(axis=0) / (width, height),
            (corners[1] - corners[0]) / (width, height),
        ]
    return ' '.join([str(shape.label), *(f'{v:.6f}' for point in values for v in point)])


def check_new(folder: Path) -> None:
    """Raise DataError if a folder has Ultralytics labels, which may have been corrected."""
    path = folder / UltralyticsLabels.FILES[0]
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not os.listdir(path))):
        raise DataError(
            f"'{printable(str(path), 300)}' exists, and its labels may have been corrected; "
            'remove it, or choose another --out-dir'
        )
