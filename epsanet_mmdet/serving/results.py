"""Detections in the pictures of a visitor, shown and saved above any threshold."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from mmdet.structures import DetDataSample

from ..errors import DataError
from ..inference.detections import Detections
from ..inference.detector import Detector
from ..inference.image_ids import ImageIds
from ..inference.outputs import OutputFolder
from ..inference.sources import Frame, find_sources, read_frames
from ..utils.text import counted

LOWEST = 0.05  # score of the detections that are kept, so that the threshold can move
MOST = 100  # pictures at a time; they stay in memory


class Results:
    """Detections in image files.

    The objects found at ``LOWEST`` are kept with the images, so a new threshold costs no detection.

    Args:
        detector: The detector.
        files: Image files.
        progress: Called with the number of finished images and of all images.

    Raises:
        DataError: If there are too many files, or one is a video.
    """

    def __init__(
        self,
        detector: Detector,
        files: Sequence[str],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        if len(files) > MOST:
            raise DataError(f'there are {len(files)} pictures; drop at most {MOST} at a time')
        self.detector = detector
        self.sources = find_sources(files)
        if any(source.is_video for source in self.sources):
            raise DataError('videos are for `epsanet infer`; drop pictures')
        self.found: List[Tuple[Frame, Optional[DetDataSample]]] = []
        for found in detector.stream(read_frames(self.sources), LOWEST):
            self.found.append(found)
            progress(len(self.found), len(self.sources))

    def pictures(self, score_thr: float) -> List[Tuple[np.ndarray, str]]:
        """Return the images with their objects drawn, as RGB, and a caption of each."""
        return [
            (
                self.detector.draw(frame, sample)[..., ::-1],
                f'{frame.name}: {counted(len(detections), "object")}',
            )
            for frame, sample, detections in self._above(score_thr)
            if sample is not None
        ]

    def rows(self, score_thr: float) -> List[List[str]]:
        """Return the name of each image, the number of its objects, and their classes or fault."""
        rows = []
        for _, _, found in self._above(score_thr):
            counts = Counter(found.class_names).most_common()
            classes = ', '.join(f'{count} {name}' for name, count in counts)
            rows.append([found.name, str(len(found)), found.fault or classes])
        return rows

    def save(self, score_thr: float) -> str:
        """Write what ``epsanet infer`` writes, as a ZIP file, and return its path."""
        ids = ImageIds()
        ids.set_classes(self.detector.classes)
        self.folder = tempfile.TemporaryDirectory(prefix='epsanet-')  # removed with the results
        out = Path(self.folder.name, 'results')
        folder = OutputFolder(str(out), ids, self.sources)
        for frame, sample, detections in self._above(score_thr):
            if sample is not None:
                folder.add(frame, detections, self.detector.draw(frame, sample))
        folder.close()
        return shutil.make_archive(str(out), 'zip', out)

    def _above(
        self, score_thr: float
    ) -> Iterator[Tuple[Frame, Optional[DetDataSample], Detections]]:
        for frame, sample in self.found:
            if sample is not None:
                kept = DetDataSample(metainfo=sample.metainfo)
                objects = sample.pred_instances
                kept.pred_instances = objects[objects.scores >= score_thr]
                sample = kept
            yield frame, sample, Detections.from_sample(frame, sample, self.detector.classes)
