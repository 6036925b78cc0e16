"""Polygons of masks. Annotation tools have one ring of points per object, without holes.

A hole, and a further part, is joined to the ring by a line there and back, which encloses nothing.
"""

from typing import Dict, List

import cv2
import numpy as np
from pycocotools import mask as coco_masks
from scipy.spatial import cKDTree

TOLERANCES = (2.0, 1.0, 0.0)  # of simplification, in half pixels
ENOUGH_IOU = 0.97


def outline(rle: Dict) -> np.ndarray:
    """Return the outline of a mask as one ring of points.

    Args:
        rle: Mask in COCO's run-length encoding.

    Returns:
        Points (x, y) on the edges of pixels, float64 of shape (n, 2); (0, 2) for an empty mask.
        They are as few as keep the IoU with the mask above 0.97.
    """
    x, y, width, height = coco_masks.toBbox(rle).astype(int)
    if not width or not height:
        return np.zeros((0, 2))
    contours = _contours(coco_masks.decode(rle)[y : y + height, x : x + width])
    for tolerance in TOLERANCES:
        ring = _joined(_simplified(contours, tolerance)) / 2 + (x, y)
        if _iou(ring, rle) > ENOUGH_IOU:
            break
    return ring


def _contours(mask: np.ndarray) -> List[np.ndarray]:
    """Trace a mask on a grid of half pixels, with corners of pixels at even places."""
    height, width = mask.shape
    grid = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
    grid[1::2, 1::2] = mask
    grid = cv2.dilate(grid, np.ones((3, 3), np.uint8))
    return list(cv2.findContours(grid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)[0])


def _simplified(contours: List[np.ndarray], tolerance: float) -> List[np.ndarray]:
    rings = []
    for contour in contours:
        ring = cv2.approxPolyDP(contour, tolerance, True)
        rings.append((ring if len(ring) > 2 else contour).reshape(-1, 2))
    return rings


def _joined(rings: List[np.ndarray]) -> np.ndarray:
    """Join rings to the longest, each by a line there and back between their closest points."""
    rings = sorted(rings, key=len)
    longest = rings.pop()
    if not rings:
        return longest
    distances, nearest = cKDTree(longest).query(np.concatenate(rings))
    ends = np.cumsum([len(ring) for ring in rings])
    pieces = [[point[None]] for point in longest]
    for ring, end in zip(rings, ends):
        start = end - len(ring)
        j = int(distances[start:end].argmin())
        i = int(nearest[start + j])
        pieces[i] += [ring[j:], ring[: j + 1], longest[i : i + 1]]
    return np.concatenate([piece for point in pieces for piece in point])


def _iou(ring: np.ndarray, rle: Dict) -> float:
    drawn = coco_masks.frPyObjects([ring.flatten().tolist()], *rle['size'])
    return float(coco_masks.iou(drawn, [rle], [0])[0, 0])
