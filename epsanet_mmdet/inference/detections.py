"""Detections of one image as plain arrays."""

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmdet.structures import DetDataSample
from pycocotools import mask as coco_masks

from .sources import Frame


def _zeros(shape, dtype) -> np.ndarray:
    return field(default_factory=lambda: np.zeros(shape, dtype))


@dataclass
class Detections:
    """Detections of one image or video frame, highest score first.

    Args:
        name: Name of the image.
        size: Height and width of the image in pixels.
        boxes: Left, top, right and bottom in pixels, float32 of shape (n, 4).
        scores: Scores from 0 to 1, float32 of shape (n,).
        labels: Class indices from 0, int64 of shape (n,).
        class_names: Class name of each detection.
        rles: Masks in COCO's run-length encoding; None for models without masks.
        index: Index of the frame in a video, from 0.
        fault: Why the image could not be read, or None.
    """

    name: str
    size: Tuple[int, int] = (0, 0)
    boxes: np.ndarray = _zeros((0, 4), np.float32)
    scores: np.ndarray = _zeros(0, np.float32)
    labels: np.ndarray = _zeros(0, np.int64)
    class_names: List[str] = field(default_factory=list)
    rles: Optional[List[Dict]] = None
    index: Optional[int] = None
    fault: Optional[str] = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def masks(self) -> Optional[np.ndarray]:
        """Masks, bool of shape (n, height, width); None for models without masks."""
        if self.rles is None:
            return None
        if not self.rles:
            return np.zeros((0, *self.size), bool)
        return coco_masks.decode(self.rles).transpose(2, 0, 1).astype(bool)

    @classmethod
    def from_sample(
        cls, frame: Frame, sample: Optional[DetDataSample], classes: Sequence[str]
    ) -> 'Detections':
        """Convert the output of a detector, in pixels of the original image.

        Args:
            frame: The image.
            sample: Output of the model; None if the image has a fault.
            classes: Class names of the model.
        """
        if sample is None:
            return cls(frame.source.name, index=frame.index, fault=frame.fault)
        instances = sample.pred_instances.cpu().numpy()
        scale = np.divide(frame.size, frame.image.shape[:2])[[1, 0, 1, 0]].astype(np.float32)
        return cls(
            frame.source.name,
            frame.size,
            instances.bboxes.astype(np.float32) * scale,
            instances.scores.astype(np.float32),
            instances.labels.astype(np.int64),
            [classes[label] for label in instances.labels],
            _encode(instances.masks, frame.size) if 'masks' in instances else None,
            frame.index,
        )


def _encode(masks: np.ndarray, size: Tuple[int, int]) -> List[Dict]:
    rles = []
    for mask in masks:  # one at a time: of large images, all would take gigabytes
        mask = cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
        rles.append(coco_masks.encode(np.asfortranarray(mask)))
    return rles
