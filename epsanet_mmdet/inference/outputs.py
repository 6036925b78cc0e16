"""Output of detections, image by image: drawn images and videos, COCO results and CSV."""

import json
from pathlib import Path
from typing import Iterator, Optional, Sequence

import cv2
import numpy as np
from pycocotools import mask as coco_masks

from .detections import Detections
from .image_ids import ImageIds
from .labels import IMAGE_URL, LabelFiles
from .labels.formats import label_paths
from .output_paths import check_inputs_stay, picture_paths
from .sources import Frame, Source
from .tables import CsvTable, JsonList
from .videos import VideoFile

BOXES, MASKS = 'results.bbox.json', 'results.segm.json'
IMAGES, TABLE = 'images.json', 'results.csv'


class OutputFolder:
    """Folder of detections, whose files are complete after each :meth:`add`.

    ``pictures/`` and ``videos/`` contain the inputs with boxes and masks drawn,
    ``results.bbox.json`` and ``results.segm.json`` COCO results, and ``results.csv`` a table.
    Without an annotation file, ``images.json`` lists the images in COCO format. Files of an
    earlier run are replaced. On request, labels for annotation tools are added.

    Args:
        folder: Folder, created if it does not exist.
        ids: Ids of images and categories, with the classes set.
        sources: Sources of the frames that will be added.
        inputs: Other files that must not be overwritten.
        labels: Annotation tools to write labels for, see ``LABEL_FORMATS``.
        image_url: Text before the names of images for Label Studio.

    Raises:
        DataError: If an input would be overwritten.
        OSError: If a file cannot be written.
    """

    def __init__(
        self,
        folder: str,
        ids: ImageIds,
        sources: Sequence[Source],
        inputs: Sequence[str] = (),
        labels: Sequence[str] = (),
        image_url: str = IMAGE_URL,
    ) -> None:
        self.folder = Path(folder)
        self.ids = ids
        self.paths = picture_paths(self.folder, sources)
        self.images: Optional[JsonList] = None
        self.masks: Optional[JsonList] = None
        self.video: Optional[VideoFile] = None
        self.video_source: Optional[Source] = None
        tables = [self.folder / name for name in (BOXES, MASKS, IMAGES, TABLE)]
        inputs = [*inputs, *(source.path for source in sources if source.path)]
        written = [*tables, *self.paths.values(), *label_paths(self.folder, labels)]
        check_inputs_stay(written, inputs, '--out-dir')
        self.folder.mkdir(parents=True, exist_ok=True)
        self.labels = LabelFiles(self.folder, labels, list(ids.classes), image_url)
        for path in tables:
            path.unlink(missing_ok=True)
        self.rows = CsvTable(self.folder / TABLE)
        self.boxes = JsonList(self.folder / BOXES)
        if ids.ann_file is None:
            categories = [dict(id=i, name=name) for name, i in ids.category_ids_by_name.items()]
            before = f'{{"annotations": [],\n"categories": {json.dumps(categories)},\n"images": '
            self.images = JsonList(self.folder / IMAGES, before, '}')

    def add(self, frame: Frame, detections: Detections, drawn: Optional[np.ndarray] = None) -> None:
        """Add the detections of a frame, and the image with them drawn if it is given."""
        image = self.ids.image(frame)
        if self.images is not None:  # before the results that refer to it
            self.images.extend([image])
        self._add_masks(image['id'], detections)
        self._add_boxes(image['id'], detections)
        self.labels.add(frame, detections)
        if drawn is not None and frame.index is None:
            self._write_image(frame.source, drawn)
        elif drawn is not None:
            self._write_frame(frame, drawn)

    def close(self) -> None:
        """Finish the last video and close all files."""
        for file in (self.video, self.rows, self.boxes, self.masks, self.images, self.labels):
            if file is not None:
                file.close()

    def _add_boxes(self, image_id: int, detections: Detections) -> None:
        areas = [''] * len(detections)
        if detections.rles:
            areas = coco_masks.area(detections.rles).tolist()
        index = '' if detections.index is None else detections.index
        entries, rows = [], []
        for i, entry in enumerate(self._entries(image_id, detections)):
            box = detections.boxes[i].astype(float)
            xywh = [*box[:2], *(box[2:] - box[:2])]
            entries.append({**entry, 'bbox': [round(v, 3) for v in xywh]})
            corners = [round(v, 2) for v in box]
            name = detections.class_names[i]
            rows.append((detections.name, index, name, entry['score'], *corners, areas[i]))
        self.boxes.extend(entries)
        self.rows.extend(rows)

    def _add_masks(self, image_id: int, detections: Detections) -> None:
        if detections.rles is None:
            return
        if self.masks is None:
            self.masks = JsonList(self.folder / MASKS)
        self.masks.extend(
            {**entry, 'segmentation': {**rle, 'counts': rle['counts'].decode()}}
            for entry, rle in zip(self._entries(image_id, detections), detections.rles)
        )

    def _entries(self, image_id: int, detections: Detections) -> Iterator[dict]:
        for label, score in zip(detections.labels, detections.scores):
            category_id = self.ids.category_ids[label]
            yield dict(image_id=image_id, category_id=category_id, score=round(float(score), 6))

    def _write_image(self, source: Source, drawn: np.ndarray) -> None:
        path = self.paths[source.key]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # never through a link
        path.write_bytes(cv2.imencode(path.suffix, drawn)[1])

    def _write_frame(self, frame: Frame, drawn: np.ndarray) -> None:
        if frame.source is not self.video_source:
            if self.video is not None:
                self.video.close()
            path = self.paths[frame.source.key]
            path.parent.mkdir(parents=True, exist_ok=True)
            self.video = VideoFile(path, drawn.shape[:2], frame.fps)
            self.video_source = frame.source
        self.video.write(drawn)
