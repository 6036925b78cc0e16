"""Objects drawn as SVG over an image of an HTML page, with their labels as tooltips."""

import base64
from dataclasses import dataclass, field
from typing import List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
from pycocotools import mask as coco_masks

from ..errors import DataError
from .images import load_image

LONGEST_SIDE = 640  # pixels of an image in a page
JPEG_QUALITY = 80


@dataclass
class Shape:
    """An object drawn over an image.

    Args:
        label: Its class, and its score if it is a detection.
        box: Left, top, width and height in pixels.
        outline: Path data of its mask, see :func:`outline`; empty without a mask.
        outcome: ``'GT'``, ``'GT FN'``, ``'TP'``, ``'FP'`` or ``'ignored'``, which chooses the
            style; empty to draw it in ``colour`` and without text.
        colour: A CSS colour.
        score: Score of a detection, or of the detection that finds an object, for the slider.
        hidden: Whether it is not drawn at first, as its score is too low.
    """

    label: str
    box: Sequence[float]
    outline: str = ''
    outcome: str = ''
    colour: str = ''
    score: Optional[float] = None
    hidden: bool = False


@dataclass
class Picture:
    """An image of a page, shown once for each set of objects drawn over it.

    Args:
        name: File name.
        width: Width in pixels, as the shapes count them.
        height: Height in pixels, as the shapes count them.
        uri: The image as a data URI; None if it cannot be read.
        panels: Caption and shapes of each copy.
    """

    name: str
    width: int
    height: int
    uri: Optional[str] = None
    panels: List[Tuple[str, List[Shape]]] = field(default_factory=list)

    @property
    def unit(self) -> float:
        """Pixels of a line that looks equally thin on every image."""
        return max(self.width, self.height) / 400

    @staticmethod
    def count(shapes: Sequence[Shape], outcome: str) -> int:
        """Return how many shapes have an outcome and are drawn."""
        return sum(outcome in shape.outcome.split() and not shape.hidden for shape in shapes)


def load_picture(
    path: str, name: str, size: Tuple[int, int], longest_side: int = LONGEST_SIDE
) -> Picture:
    """Load an image, shrunk to a longest side, as training sees it.

    Args:
        path: Image file.
        name: Name shown in the page.
        size: Width and height in pixels, for an image that cannot be read.
        longest_side: Pixels of the longest side at most.
    """
    try:
        image = load_image(path)
    except DataError:
        return Picture(name, *size)
    return embed_picture(image, name, longest_side)


def embed_picture(image: np.ndarray, name: str, longest_side: int = LONGEST_SIDE) -> Picture:
    """Return an image for a page, shrunk to a longest side.

    Args:
        image: BGR image, uint8 of shape (height, width, 3).
        name: Name shown in the page.
        longest_side: Pixels of the longest side at most.
    """
    height, width = image.shape[:2]
    scale = min(1, longest_side / max(height, width))
    shown = tuple(max(1, round(side * scale)) for side in (width, height))
    image = cv2.resize(image, shown, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return Picture(name, width, height, 'data:image/jpeg;base64,' + base64.b64encode(jpeg).decode())


def corner_and_size(box: np.ndarray) -> List[float]:
    """Return the box of a :class:`Shape`, given its left, top, right and bottom."""
    left, top, right, bottom = box.tolist()
    return [round(value, 1) for value in (left, top, right - left, bottom - top)]


def outline(segmentation: Union[dict, List[List[float]], np.ndarray, None]) -> str:
    """Return SVG path data of a checked COCO segmentation, polygons or run lengths, or a mask.

    A mask is a Boolean array of shape (height, width).
    """
    contours = []
    if isinstance(segmentation, dict):
        if isinstance(segmentation['counts'], list):
            segmentation = coco_masks.frPyObjects(segmentation, *segmentation['size'])
        segmentation = coco_masks.decode(segmentation)
    if isinstance(segmentation, np.ndarray):
        mask = np.ascontiguousarray(segmentation, np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    elif segmentation:
        contours = [
            np.float32(p[: len(p) // 2 * 2]).reshape(-1, 2) for p in segmentation if len(p) > 5
        ]
    path = ''
    for contour in contours:
        points = cv2.approxPolyDP(contour, 1, True).reshape(-1, 2).tolist()
        if len(points) > 2:
            path += 'M' + 'L'.join(f'{round(x, 1):g} {round(y, 1):g}' for x, y in points) + 'Z'
    return path
