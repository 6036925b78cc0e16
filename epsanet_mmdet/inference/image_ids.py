"""Ids of images and categories in results."""

import os.path as osp
from pathlib import Path
from typing import Dict, Optional, Sequence

from ..datasets.checks import read_annotations
from ..errors import DataError
from ..utils.text import printable
from .sources import Frame, Source


class ImageIds:
    """Ids of images and categories: those of an annotation file, or consecutive ones from 1.

    Args:
        ann_file: COCO annotations of the images.

    Raises:
        DataError: If the file does not exist or does not contain COCO annotations.
    """

    def __init__(self, ann_file: Optional[str] = None) -> None:
        self.ann_file = ann_file
        self.count = 0
        self.classes: Sequence[str] = ()
        self.category_ids_by_name: Dict[str, int] = {}
        if ann_file is None:
            return
        if not osp.isfile(ann_file):
            raise DataError(f"annotation file '{ann_file}' does not exist")
        content = read_annotations(ann_file, (), subset=True, optional=True)
        try:
            self.by_name = {osp.normpath(i['file_name']): i['id'] for i in content['images']}
            self.category_ids_by_name = {c['name']: c['id'] for c in content['categories']}
        except (KeyError, TypeError) as error:
            raise DataError(f"'{ann_file}' has images or categories without {error}")

    def check(self, sources: Sequence[Source]) -> None:
        """Raise DataError if an annotation file lacks a source, or has one entry for two."""
        if self.ann_file is None:
            return
        found: Dict[Optional[int], str] = {}
        lacking = [source.path for source in sources if self._find(source.path) is None]
        if lacking:
            raise DataError(
                f"'{self.ann_file}' lacks {len(lacking)} of {len(sources)} inputs, such as "
                f"'{printable(lacking[0], 300)}'; use its own images, or leave out the "
                'annotation file'
            )
        for source in sources:
            other = found.setdefault(self._find(source.path), source.path)
            if other != source.path:
                paths = (f"'{printable(path, 300)}'" for path in (other, source.path))
                raise DataError(
                    f"'{self.ann_file}' has one image for {' and '.join(paths)}; leave out one of "
                    'them, or the annotation file'
                )

    def set_classes(self, classes: Sequence[str]) -> None:
        """Set the class names of the model; raise DataError if the annotation file lacks one."""
        self.classes = classes
        if self.ann_file is None:
            self.category_ids_by_name = {name: i for i, name in enumerate(classes, 1)}
        missing = [name for name in classes if name not in self.category_ids_by_name]
        if missing:
            listing = ', '.join(printable(name, 40) for name in missing[:10])
            raise DataError(
                f"'{self.ann_file}' has no categories {listing}, which the model "
                'detects; leave out the annotation file, or use a model of its categories'
            )
        self.category_ids = [self.category_ids_by_name[name] for name in classes]

    def image(self, frame: Frame) -> Dict:
        """Return the COCO entry of a frame, or only its id if there is an annotation file."""
        if self.ann_file is not None:
            return dict(id=self._find(frame.source.path))
        self.count += 1
        image = dict(id=self.count, file_name=frame.source.name)
        image.update(height=frame.size[0], width=frame.size[1])
        if frame.index is not None:
            image['frame_id'] = frame.index
        return image

    def _find(self, path: str) -> Optional[int]:
        parts = Path(osp.abspath(path)).parts
        candidates = (osp.join(*parts[-n:]) for n in range(len(parts), 0, -1))
        return next((self.by_name[name] for name in candidates if name in self.by_name), None)
