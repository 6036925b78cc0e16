"""A generated classification data set: a textured shape on every image, in class folders.

A class is a shape with a texture, such as ``disc_checks``. Every shape and every texture belongs to
several classes, so that neither determines the class alone. All else is random.
"""

import shutil
from pathlib import Path
from typing import List

import cv2
import numpy as np

from ..errors import ArgumentError
from .generated import is_complete, write_stamp
from .shapes import CLASSES, PATTERNS, draw_colour, draw_outline, draw_texture

SPLITS = ('train', 'val')
CONTRAST = (0.6, 1.0)  # of the texture of objects, on which the class depends


def write_image_folder(
    root: str,
    classes: int = 10,
    images_per_class: int = 200,
    val_per_class: int = 40,
    size: int = 96,
    seed: int = 0,
) -> List[str]:
    """Write ``train/CLASS/*.png`` and ``val/CLASS/*.png``, unless they are already there.

    Args:
        root: Folder to write. Its ``train`` and ``val`` are replaced if they were written by this
            function.
        classes: Number of classes, 2 to 16.
        images_per_class: Training images of each class.
        val_per_class: Validation images of each class.
        size: Height and width of the images in pixels.
        seed: Equal seeds produce equal images.

    Returns:
        The sorted names of the classes, which are those of the folders.

    Raises:
        ArgumentError: If the number of classes is out of range, or another number is too small.
        DataError: If the folder has other files of these names.
    """
    names = class_names(classes)
    counts = dict(zip(SPLITS, (images_per_class, val_per_class)))
    if min(images_per_class, val_per_class) < 1 or size < 16:
        raise ArgumentError(
            f'an image folder needs at least 1 image of each class and a size of at least 16, but '
            f'got images_per_class={images_per_class}, val_per_class={val_per_class}, size={size}'
        )
    settings = dict(classes=names, **counts, size=size, seed=seed)
    stamp = Path(root) / 'settings.json'
    if is_complete(stamp, settings, [Path(root) / split for split in SPLITS]):
        return names
    write_stamp(stamp, settings, complete=False)
    for i, split in enumerate(SPLITS):
        shutil.rmtree(Path(root) / split, ignore_errors=True)
        for k, name in enumerate(names):
            folder = Path(root) / split / name
            folder.mkdir(parents=True)
            for j in range(counts[split]):
                image = draw_object(name, size, np.random.default_rng([seed, i, k, j]))
                cv2.imwrite(str(folder / f'{j:05d}.png'), image)
    write_stamp(stamp, settings, complete=True)
    return names


def class_names(count: int) -> List[str]:
    """Return the names of ``count`` classes, which share shapes and textures evenly.

    Raises:
        ArgumentError: If there are not as many.
    """
    shapes, patterns = len(CLASSES), list(PATTERNS)
    if not 2 <= count <= shapes * len(patterns):
        raise ArgumentError(
            f'an image folder has 2 to {shapes * len(patterns)} classes, but got classes={count}'
        )
    return sorted(
        f'{CLASSES[k % shapes]}_{patterns[(k + k // shapes) % len(patterns)]}' for k in range(count)
    )


def draw_object(name: str, size: int, random: np.random.Generator) -> np.ndarray:
    """Draw one image (size, size, 3) of uint8 of the class ``name``."""
    shape, pattern = name.split('_')
    image = draw_texture(size, random)
    extent = size * random.uniform(0.5, 0.85)
    outline = draw_outline(shape, extent / 2, random)
    outline = np.round(outline + size / 2 + random.uniform(-0.12, 0.12, 2) * size).astype(np.int32)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [outline], 1)
    image[mask > 0] = draw_texture(size, random, pattern, CONTRAST)[mask > 0]
    cv2.polylines(image, [outline], True, draw_colour(random), 1, cv2.LINE_AA)
    return np.clip(image + random.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
