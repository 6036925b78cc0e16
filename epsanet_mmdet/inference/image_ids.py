"""Numbers of images and categories in the results."""

import json
import os.path as osp
from pathlib import Path
from typing import Dict, Optional, Sequence

from ..datasets.checks import check_annotations
from ..errors import DataError
from ..utils.text import printable
from .sources import Frame, Source


class ImageIds:
    """Numbers of images and categories: an annotation file's, or consecutive ones from 1.

    Args:
        ann_file: COCO annotations that hold the images.

    Raises:
        DataError: If it does not exist or is not COCO.
    """

    def __init__(self, ann_file: Optional[str] = None) -> None:
        self.ann_file = ann_file
        self.count = 0
        self.category_ids_by_name: Dict[str, int] = {}
        if ann_file is None:
            return
        if not osp.isfile(ann_file):
            raise DataError(f"annotation file '{ann_file}' does not exist")
        check_annotations(ann_file, (), subset=True, optional=True)
        content = json.loads(Path(ann_file).read_text(encoding='utf-8'))
        try:
            self.by_name = {osp.normpath(i['file_name']): i['id'] for i in content['images']}
            self.category_ids_by_name = {c['name']: c['id'] for c in content['categories']}
        except (KeyError, TypeError) as error:
            raise DataError(f"'{ann_file}' has images or categories without {error}")

    def check(self, sources: Sequence[Source]) -> None:
        """Check that the annotation file, if there is one, has all sources.

        Raises:
            DataError: Naming one that it lacks.
        """
        lacking = [s.path for s in sources if self.ann_file and self._find(s.path) is None]
        if lacking:
            raise DataError(
                f"'{self.ann_file}' lacks {len(lacking)} of {len(sources)} inputs, such as "
                f"'{printable(lacking[0], 300)}'; use its own images, or leave out the "
                'annotation file'
            )

    def set_classes(self, classes: Sequence[str]) -> None:
        """Number the classes of a model.

        Raises:
            DataError: If the annotation file lacks one of them.
        """
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
        """Return a frame's entry in COCO's list of images, or its id alone if that has it."""
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
        candidates = (osp.join(*parts[-n:]) for n in range(1, len(parts) + 1))
        return next((self.by_name[name] for name in candidates if name in self.by_name), None)
