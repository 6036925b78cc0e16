"""Batches of views of the images in a folder, some of them held out."""

from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

import cv2
import numpy as np
import torch
from torch import Tensor

from ..datasets.shapes import draw_scene
from ..errors import DataError
from ..utils.images import images_below, load_image, read_image

MEAN = (123.675, 116.28, 103.53)  # RGB, as in mmdet's ResNet configs
STD = (58.395, 57.12, 57.375)
MIN_IMAGES = 10
PERIOD = 5  # of five images, one is held out and one serves to choose the ridge


class Pictures(NamedTuple):
    """Views of images, uint8 RGB (n, 3, size, size): to fit on, to choose the ridge on, held out.

    No image has views in two of the three. ``skipped`` counts unreadable files.
    """

    fit: Tensor
    check: Tensor
    held_out: Tensor
    skipped: int = 0


def read_pictures(
    folder: str, size: int = 224, max_images: int = 250, views: int = 1, seed: int = 0
) -> Pictures:
    """Read views of the images in a folder and its subfolders.

    A fifth of the images is held out, and another fifth serves to choose the ridge.

    Args:
        folder: Folder of images of any size.
        size: Height and width of the views, pixels.
        max_images: Maximum number of images, drawn at random if there are more.
        views: Crops per image to fit on; the first is of the centre, the others are random.
        seed: For the split and the crops.

    Raises:
        DataError: If there is no such folder, or fewer than ten readable images in it.
    """
    if not Path(folder).is_dir():
        raise DataError(f"'{folder}' is not a folder; name a folder of images")
    files = images_below(Path(folder))
    random = np.random.default_rng(seed)
    random.shuffle(files)
    parts: List[List[np.ndarray]] = [[], [], []]
    read = skipped = 0
    for file in files:
        if read == max_images:
            break
        image = _decode(file)
        if image is None:
            skipped += 1
            continue
        part = {0: 2, 1: 1}.get(read % PERIOD, 0)
        parts[part] += crops(image, size, 1 if part == 2 else views, random)
        read += 1
    if read < MIN_IMAGES:
        unreadable = f' and {skipped} that cannot be read' if skipped else ''
        raise DataError(
            f"'{folder}' has {read} images that can be used{unreadable}; at least {MIN_IMAGES} are "
            'needed, and a hundred or more are better'
        )
    return Pictures(*(torch.from_numpy(np.stack(part)) for part in parts), skipped)


def draw_pictures(size: int = 224, count: int = 16, seed: int = 0) -> Pictures:
    """Draw scenes of textured shapes as held-out images, where there is no folder."""
    random = np.random.default_rng(seed)
    scenes = [draw_scene(size, random)[0].transpose(2, 0, 1) for _ in range(count)]
    none = torch.empty(0, 3, size, size, dtype=torch.uint8)
    return Pictures(none, none, torch.from_numpy(np.stack(scenes)))


def batches(pictures: Tensor, batch_size: int = 16) -> Iterator[Tensor]:
    """Yield normalised batches (b, 3, size, size)."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    for part in pictures.split(batch_size):
        yield (part.float() - mean) / std


def crops(
    image: np.ndarray, size: int, count: int, random: np.random.Generator
) -> List[np.ndarray]:
    """Cut square views (3, size, size) out of an image (height, width, 3)."""
    height, width = image.shape[:2]
    found = []
    for i in range(count):
        side = max(int(min(height, width) * (1 if i == 0 else random.uniform(0.5, 1))), 1)
        top, left = (height - side) // 2, (width - side) // 2
        if i:
            top, left = (random.integers(n - side + 1) for n in (height, width))
        view = image[top : top + side, left : left + side]
        view = cv2.resize(view, (size, size), interpolation=cv2.INTER_AREA)
        found.append(view[:, :: -1 if i % 2 else 1].transpose(2, 0, 1))
    return found


def _decode(file: Path) -> Optional[np.ndarray]:
    """Return the image in a file as RGB, or None if any part of it is damaged."""
    if read_image(str(file)).fault is not None:
        return None
    try:
        return cv2.cvtColor(load_image(str(file)), cv2.COLOR_BGR2RGB)
    except DataError:
        return None
