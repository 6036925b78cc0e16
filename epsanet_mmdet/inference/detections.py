"""The objects detected in one picture, as plain arrays."""

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmdet.structures import DetDataSample
from mmdet.structures.mask import encode_mask_results
from pycocotools import mask as coco_masks

from .sources import Frame


def _zeros(shape, dtype) -> np.ndarray:
    return field(default_factory=lambda: np.zeros(shape, dtype))


@dataclass
class Detections:
    """The objects found in one picture, in order of their scores.

    Args:
        name: The picture's name.
        size: Its height and width in pixels.
        boxes: float32 of shape (n, 4): left, top, right and bottom in pixels.
        scores: float32 of shape (n,), 0 to 1.
        labels: int64 of shape (n,), from 0.
        class_names: Names of the labels, one an object.
        rles: COCO's run-length encoded masks; None for models without masks.
        index: Number of the frame in a video, from 0.
        fault: Why the picture could not be read; it has no objects then.
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
        """The masks, bool of shape (n, height, width); None for models without masks."""
        if self.rles is None:
            return None
        if not self.rles:
            return np.zeros((0, *self.size), bool)
        return coco_masks.decode(self.rles).transpose(2, 0, 1).astype(bool)

    @classmethod
    def from_sample(
        cls, frame: Frame, sample: Optional[DetDataSample], classes: Sequence[str]
    ) -> 'Detections':
        """Convert a detector's output.

        Args:
            frame: The picture.
            sample: The model's output; None if the picture has a fault.
            classes: Names of the model's classes.
        """
        if sample is None:
            return cls(frame.source.name, index=frame.index, fault=frame.fault)
        found = sample.pred_instances.cpu().numpy()
        height, width = frame.size
        seen_height, seen_width = frame.image.shape[:2]
        scale = np.array([width / seen_width, height / seen_height] * 2, np.float32)
        return cls(
            frame.source.name,
            frame.size,
            found.bboxes.astype(np.float32) * scale,
            found.scores.astype(np.float32),
            found.labels.astype(np.int64),
            [classes[label] for label in found.labels],
            _encode(found.masks, frame.size) if 'masks' in found else None,
            frame.index,
        )


def _encode(masks: np.ndarray, size: Tuple[int, int]) -> List[Dict]:
    if masks.shape[1:] == tuple(size):
        return encode_mask_results(masks)
    resized = (
        cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
        for mask in masks
    )
    return [coco_masks.encode(np.asfortranarray(mask)) for mask in resized]
