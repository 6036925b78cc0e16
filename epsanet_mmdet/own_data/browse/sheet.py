"""Samples as one picture, with the class beside every box."""

import math
from typing import List, Sequence

import cv2
import numpy as np

from ...utils.drawing import add_title, draw_objects
from .samples import Sample

SIDE = 480  # pixels of an image's longer side
GAP = 8
WHITE = (255, 255, 255)


def draw_cell(sample: Sample) -> np.ndarray:
    """Return a sample with its objects drawn, below its caption."""
    order = sample.large_first[::-1]
    drawn = draw_objects(
        sample.image,
        sample.boxes[order],
        sample.labels[order],
        [sample.texts[i] for i in order],
        None if sample.masks is None else sample.masks[order],
        SIDE / max(sample.image.shape),
    )
    return add_title(_padded(drawn, len(drawn), SIDE), sample.caption)


def render_sheet(groups: Sequence[Sequence[np.ndarray]], title: str, facts: str) -> np.ndarray:
    """Return cells as one picture.

    Args:
        groups: The cells of each image: a row of the picture; those that stand alone form a square.
        title: Heading.
        facts: A line on their origin.
    """
    if all(len(group) == 1 for group in groups):
        cells = [cell for group in groups for cell in group]
        columns = math.ceil(math.sqrt(len(cells)))
        groups = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    columns = max(map(len, groups))
    rows = np.vstack([_row(group, columns) for group in groups])
    return add_title(add_title(rows, facts), title, 24)


def _row(cells: Sequence[np.ndarray], columns: int) -> np.ndarray:
    height = max(len(cell) for cell in cells)
    blank = np.full((height, SIDE, 3), 255, np.uint8)
    filled: List[np.ndarray] = [*cells, *[blank] * (columns - len(cells))]
    return np.hstack([_padded(cell, height + GAP, SIDE + GAP) for cell in filled])


def _padded(image: np.ndarray, height: int, width: int) -> np.ndarray:
    below, right = height - image.shape[0], width - image.shape[1]
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=WHITE)
