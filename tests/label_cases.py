"""Detections to write as labels: masks with holes and parts, and names with odd characters."""

import cv2
import numpy as np
from pycocotools import mask as coco_masks

from epsanet_mmdet.inference import Detections
from epsanet_mmdet.inference.labels import IMAGE_URL, LabelFiles
from epsanet_mmdet.inference.sources import Frame, find_sources

ODD_CLASSES = ('<a & "b">', "it's; \x01\x0b", 'ä人\ud800', 'yes: 1', ' ')


def encode(mask) -> dict:
    return coco_masks.encode(np.asfortranarray(mask, np.uint8))


def iou(first: dict, second: dict) -> float:
    return float(coco_masks.iou([first], [second], [0])[0, 0])


def drawn(polygon, size) -> dict:
    """Return the mask of a polygon [x1, y1, x2, y2, ...] as COCO draws it."""
    return coco_masks.frPyObjects([list(polygon)], *size)[0]


def blob(size, seed, grain=8, share=0.5):
    """Return a random mask with holes and several parts."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.random(size), (0, 0), grain)
    return noise > np.quantile(noise, 1 - share)


def ring_and_dot(size=(80, 120)):
    """Return a ring with an island in its hole, and a part on its own."""
    mask = np.zeros(size, np.uint8)
    for radius, value in ((35, 1), (24, 0), (8, 1)):
        cv2.circle(mask, (40, 40), radius, value, -1)
    mask[10:20, 90:118] = 1
    return mask


def detections(masks, size=(80, 120), name='a.png', labels=None, with_masks=True):
    """Return detections with the boxes of the masks."""
    rles = [encode(mask) for mask in masks]
    boxes = np.array([coco_masks.toBbox(rle) for rle in rles]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = np.arange(len(rles)) if labels is None else np.array(labels)
    return Detections(
        name,
        size,
        boxes.astype(np.float32),
        np.linspace(0.9, 0.5, len(rles), dtype=np.float32),
        labels,
        [ODD_CLASSES[i] for i in labels],
        rles if with_masks else None,
    )


def write_labels(paths, folder, formats, make, classes=ODD_CLASSES, image_url=IMAGE_URL):
    """Write the detections ``make(i, size, name)`` of image files, and return them.

    Args:
        paths: Image files.
        folder: Folder to write to.
        formats: Label formats.
        make: Function that returns the detections of the i-th image.
        classes: Class names.
        image_url: For Label Studio.
    """
    files = LabelFiles(folder, formats, classes, image_url)
    result = []
    for i, source in enumerate(find_sources(paths)):
        height, width = cv2.imdecode(np.fromfile(source.path, np.uint8), 1).shape[:2]
        found = make(i, (height, width), source.name)
        files.add(Frame(source, size=(height, width)), found)
        result.append(found)
    files.close()
    return result
