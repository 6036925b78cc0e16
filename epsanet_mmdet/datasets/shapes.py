"""A generated instance segmentation data set in COCO format: textured shapes.

Shapes of many sizes and textures lie on textured backgrounds and occlude each other. The class
depends on the outline alone, not on colours or textures.
"""

import json
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from .generated import is_complete, write_stamp

CLASSES = ('disc', 'square', 'triangle', 'star')
MIN_VISIBLE = 0.35  # of the area of each shape; a shape that would hide more is not drawn


def write_shapes(
    root: str, train: int = 400, val: int = 80, size: int = 192, seed: int = 0
) -> Dict[str, str]:
    """Write the data set in COCO's layout, unless it is already there.

    Args:
        root: Folder for ``train/``, ``val/`` and ``annotations/``.
        train: Number of training images.
        val: Number of validation images.
        size: Height and width of the images in pixels.
        seed: Equal seeds produce equal data sets.

    Returns:
        Annotation file of each split.

    Raises:
        DataError: If the folder has files of these names that were not written by this function.
    """
    settings = dict(train=train, val=val, size=size, seed=seed)
    folder = Path(root) / 'annotations'
    ann_files = {split: str(folder / f'{split}.json') for split in ('train', 'val')}
    stamp = folder / 'settings.json'
    if is_complete(stamp, settings, [Path(root, name) for name in ('annotations', *ann_files)]):
        return ann_files
    write_stamp(stamp, settings, complete=False)
    for i, split in enumerate(ann_files):
        random = np.random.default_rng([seed, i])
        _write_split(Path(root) / split, ann_files[split], settings[split], size, random)
    write_stamp(stamp, settings, complete=True)
    return ann_files


def draw_scene(size: int, random: np.random.Generator) -> Tuple[np.ndarray, List[Tuple]]:
    """Draw one image.

    Returns:
        The image (size, size, 3) of uint8, and for each shape its class index and the mask
        (size, size) of its visible part.
    """
    image = draw_texture(size, random)
    owner = np.full((size, size), -1)
    labels, areas = [], []
    for _ in range(random.integers(2, 7)):
        label = int(random.integers(len(CLASSES)))
        extent = size * np.exp(random.uniform(np.log(0.12), np.log(0.6)))
        outline = draw_outline(CLASSES[label], extent / 2, random) + random.uniform(
            0.4 * extent, size - 0.4 * extent, 2
        )
        mask = np.zeros((size, size), np.uint8)
        cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
        shape = mask.astype(bool)
        covered = np.bincount(owner[shape & (owner >= 0)], minlength=len(labels))
        visible = np.bincount(owner[owner >= 0], minlength=len(labels)) - covered
        if shape.sum() < 40 or any(v < MIN_VISIBLE * a for v, a in zip(visible, areas)):
            continue
        image[shape] = draw_texture(size, random)[shape]
        cv2.polylines(
            image, [np.round(outline).astype(np.int32)], True, draw_colour(random), 1, cv2.LINE_AA
        )
        owner[shape] = len(labels)
        labels.append(label)
        areas.append(int(shape.sum()))
    image = np.clip(image + random.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    return image, [(label, owner == i) for i, label in enumerate(labels)]


def _write_split(
    folder: Path, ann_file: str, count: int, size: int, random: np.random.Generator
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    print(f'drawing {count} images of textured shapes into {folder}', flush=True)
    for image_id in range(1, count + 1):
        pixels, shapes = draw_scene(size, random)
        name = f'{image_id:06d}.png'
        cv2.imwrite(str(folder / name), pixels)
        images.append(dict(id=image_id, file_name=name, width=size, height=size))
        for label, mask in shapes:
            rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=label + 1,
                    bbox=[float(v) for v in coco_mask.toBbox(rle)],
                    area=float(coco_mask.area(rle)),
                    segmentation=dict(size=rle['size'], counts=rle['counts'].decode()),
                    iscrowd=0,
                )
            )
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, start=1)]
    Path(ann_file).write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=categories))
    )


def draw_outline(name: str, radius: float, random: np.random.Generator) -> np.ndarray:
    """Return the corners (n, 2) of a randomly rotated shape of :data:`CLASSES` about the origin."""
    corners = dict(disc=48, square=4, triangle=3, star=10)[name]
    angles = random.uniform(0, 2 * np.pi) + np.arange(corners) * 2 * np.pi / corners
    radii = np.full(corners, radius)
    if name == 'star':
        radii[1::2] *= 0.42
    stretch = random.uniform(0.8, 1.2)
    return np.stack([radii * np.cos(angles) * stretch, radii * np.sin(angles) / stretch], 1)


def draw_texture(
    size: int,
    random: np.random.Generator,
    pattern: Optional[str] = None,
    contrast: Tuple[float, float] = (0.2, 0.7),
) -> np.ndarray:
    """Draw a texture in two random colours.

    Args:
        size: Height and width in pixels.
        random: Source of randomness.
        pattern: Key of :data:`PATTERNS`; None for a random one.
        contrast: Range of the share of the difference between the two colours that is used.

    Returns:
        (size, size, 3) of float32 in 0 to 255.
    """
    if pattern is None:
        pattern = list(PATTERNS)[random.integers(len(PATTERNS))]
    amount = PATTERNS[pattern](size, random)[..., None]
    first, second = np.array(draw_colour(random)), np.array(draw_colour(random))
    return (first + (second - first) * amount * random.uniform(*contrast)).astype(np.float32)


def _stripes(size: int, random: np.random.Generator) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(_ramp(size, random) * 2 * np.pi / random.uniform(5, 24))


def _checks(size: int, random: np.random.Generator) -> np.ndarray:
    cell = int(random.integers(4, 16))
    rows, columns = np.indices((size, size)) // cell
    return ((rows + columns) % 2).astype(float)


def _blobs(size: int, random: np.random.Generator) -> np.ndarray:
    cells = int(random.integers(6, 32))
    return cv2.resize(random.random((cells, cells)), (size, size), interpolation=cv2.INTER_CUBIC)


def _gradient(size: int, random: np.random.Generator) -> np.ndarray:
    ramp = _ramp(size, random)
    return (ramp - ramp.min()) / np.ptp(ramp)


def _ramp(size: int, random: np.random.Generator) -> np.ndarray:
    angle = random.uniform(0, np.pi)
    rows, columns = np.indices((size, size))
    return rows * np.sin(angle) + columns * np.cos(angle)


def draw_colour(random: np.random.Generator) -> Tuple[int, ...]:
    """Draw a random colour that is neither black nor white: 3 values from 20 to 235."""
    return tuple(int(v) for v in random.integers(20, 236, 3))


PATTERNS = dict(stripes=_stripes, checks=_checks, blobs=_blobs, gradient=_gradient)
