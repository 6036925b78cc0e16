"""Detected objects as annotation tools show them: a polygon, or a box."""

from dataclasses import dataclass
from typing import List, Optional

import numpy as np

from ..detections import Detections
from .outlines import outline


@dataclass
class Shape:
    """A detected object.

    Args:
        label: Class index from 0.
        class_name: Name of the class.
        score: Score from 0 to 1.
        box: Left, top, right and bottom in pixels, inside the image.
        polygon: Points (x, y) in pixels, inside the image, of shape (n, 2); None for models
            without masks.
    """

    label: int
    class_name: str
    score: float
    box: np.ndarray
    polygon: Optional[np.ndarray] = None


def shapes_of(detections: Detections) -> List[Shape]:
    """Return the objects of an image; an empty mask is replaced by the box.

    Boxes without area are left out: annotation tools do not show them.
    """
    limits = np.tile(detections.size[::-1], 2)
    boxes = np.clip(detections.boxes.astype(float), 0, limits)
    shapes = []
    for i, box in enumerate(boxes):
        if (box[2:] <= box[:2]).any():
            continue
        shape = Shape(
            int(detections.labels[i]), detections.class_names[i], float(detections.scores[i]), box
        )
        if detections.rles is not None:
            ring = outline(detections.rles[i])
            shape.polygon = ring if len(ring) else box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)
        shapes.append(shape)
    return shapes
