"""Writing what was found: pictures, videos, COCO results and CSV."""

import csv
import json
import os.path as osp
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import cv2
import numpy as np
from pycocotools import mask as coco_masks

from ..datasets.checks import check_annotations
from ..errors import DataError
from ..spreadsheet import csv_row
from .detections import Detections
from .sources import Frame, Source

CSV_HEADER = ('image', 'frame', 'class', 'score', 'x1', 'y1', 'x2', 'y2', 'mask_area')


class ImageIds:
    """Numbers of images and categories: an annotation file's, or consecutive ones from 1.

    Args:
        ann_file: COCO annotations that hold the images.

    Raises:
        DataError: If it does not exist or is not COCO.
    """

    def __init__(self, ann_file: Optional[str] = None) -> None:
        self.ann_file = ann_file
        self.images: List[Dict] = []
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
                f"'{lacking[0]}'; give its own images, or leave out the annotation file"
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
            raise DataError(
                f"'{self.ann_file}' has no categories {', '.join(missing[:10])}, which the model "
                'detects; leave out the annotation file, or use a model of its categories'
            )
        self.category_ids = [self.category_ids_by_name[name] for name in classes]

    def image_id(self, frame: Frame) -> int:
        if self.ann_file is not None:
            return self._find(frame.source.path)
        image = dict(id=len(self.images) + 1, file_name=frame.source.name)
        image.update(height=frame.size[0], width=frame.size[1])
        if frame.index is not None:
            image['frame_id'] = frame.index
        self.images.append(image)
        return image['id']

    def _find(self, path: str) -> Optional[int]:
        parts = Path(osp.abspath(path)).parts
        candidates = (osp.join(*parts[-n:]) for n in range(1, len(parts) + 1))
        return next((self.by_name[name] for name in candidates if name in self.by_name), None)


class OutputFolder:
    """Writes detections into a folder.

    ``pictures/`` and ``videos/`` hold the inputs with boxes and masks drawn,
    ``results.bbox.json`` and ``results.segm.json`` are COCO results, ``results.csv`` is a table.
    ``images.json`` lists the images in COCO's layout where no annotation file does.

    Args:
        folder: Made if it does not exist.
        ids: Numbers of images and categories.

    Raises:
        OSError: If something cannot be written.
    """

    def __init__(self, folder: str, ids: ImageIds) -> None:
        self.folder = Path(folder)
        self.ids = ids
        self.boxes: List[Dict] = []
        self.masks: Optional[List[Dict]] = None
        self.rows: List[tuple] = []
        self.video = None
        self.video_source: Optional[Source] = None
        self.folder.mkdir(parents=True, exist_ok=True)

    def add(self, frame: Frame, found: Detections, picture: np.ndarray) -> None:
        """Add what was found in a frame, and the frame with it drawn."""
        image_id = self.ids.image_id(frame)
        areas = [''] * len(found)
        if found.rles is not None:
            self.masks = self.masks or []
            areas = coco_masks.area(found.rles).tolist() if found.rles else []
        for i in range(len(found)):
            box, score = found.boxes[i].astype(float), round(float(found.scores[i]), 6)
            entry = dict(image_id=image_id, category_id=self.ids.category_ids[found.labels[i]])
            xywh = [*box[:2], *(box[2:] - box[:2])]
            self.boxes.append({**entry, 'bbox': [round(v, 3) for v in xywh], 'score': score})
            if found.rles is not None:
                rle = {**found.rles[i], 'counts': found.rles[i]['counts'].decode()}
                self.masks.append({**entry, 'segmentation': rle, 'score': score})
            index = '' if found.index is None else found.index
            corners = [round(v, 2) for v in box]
            self.rows.append((found.name, index, found.class_names[i], score, *corners, areas[i]))
        if frame.index is None:
            self._write_picture(frame.source.name, picture)
        else:
            self._write_frame(frame, picture)

    def close(self) -> None:
        """Write the tables, and finish the last video."""
        if self.video is not None:
            self.video.release()
        self._dump('results.bbox.json', self.boxes)
        if self.masks is not None:
            self._dump('results.segm.json', self.masks)
        if self.ids.ann_file is None:
            categories = [dict(id=i, name=n) for n, i in self.ids.category_ids_by_name.items()]
            content = dict(images=self.ids.images, annotations=[], categories=categories)
            self._dump('images.json', content)
        with open(self.folder / 'results.csv', 'w', newline='', encoding='utf-8') as file:
            csv.writer(file).writerows([CSV_HEADER, *map(csv_row, self.rows)])

    def _dump(self, name: str, content) -> None:
        text = json.dumps(content, ensure_ascii=False)
        (self.folder / name).write_text(text, encoding='utf-8')

    def _write_picture(self, name: str, picture: np.ndarray) -> None:
        path = self.folder / 'pictures' / name
        if not cv2.haveImageWriter(f'a{path.suffix}'):
            path = path.with_name(path.name + '.png')
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imencode(path.suffix, picture)[1].tofile(path)

    def _write_frame(self, frame: Frame, picture: np.ndarray) -> None:
        if frame.source is not self.video_source:
            if self.video is not None:
                self.video.release()
            name = f'webcam{frame.source.path}' if frame.source.is_webcam else frame.source.name
            path = (self.folder / 'videos' / name).with_suffix('.mp4')
            path.parent.mkdir(parents=True, exist_ok=True)
            codec = cv2.VideoWriter_fourcc(*'mp4v')
            self.video = cv2.VideoWriter(str(path), codec, frame.fps, picture.shape[1::-1])
            self.video_source = frame.source
            if not self.video.isOpened():
                raise OSError(f"no video can be made at '{path}'")
        self.video.write(picture)
