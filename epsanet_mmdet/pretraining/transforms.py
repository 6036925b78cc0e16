"""Image transforms for training on ImageNet that mmcv lacks.

They resize with Pillow's antialiased bilinear filter, as the published trainings do.
"""

import math
from typing import Tuple

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS
from mmengine.structures import BaseDataElement

TRIES = 10  # random crops to draw before falling back to the largest central one


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Crop a random part of the image and resize it to a square (arXiv 1409.4842).

    Args:
        size (int): Height and width of the result.
        area (tuple): Range of the crop's share of the image area.
        ratio (tuple): Range of the crop's width over height.
    """

    def __init__(
        self,
        size: int,
        area: Tuple[float, float] = (0.08, 1.0),
        ratio: Tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.size = size
        self.area = area
        self.ratio = ratio

    @cache_randomness
    def crop_box(self, height: int, width: int) -> Tuple[int, int, int, int]:
        """Draw the left edge, top edge, width and height of the crop."""
        for _ in range(TRIES):
            area = height * width * np.random.uniform(*self.area)
            ratio = math.exp(np.random.uniform(*np.log(self.ratio)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = np.random.randint(width - w + 1), np.random.randint(height - h + 1)
                return int(left), int(top), w, h
        w = min(width, round(height * self.ratio[1]))
        h = min(height, round(width / self.ratio[0]))
        return (width - w) // 2, (height - h) // 2, w, h

    def transform(self, results: dict) -> dict:
        left, top, w, h = self.crop_box(*results['img'].shape[:2])
        part = results['img'][top : top + h, left : left + w]
        results['img'] = resize(part, self.size, self.size)
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class ResizeShortSide(BaseTransform):
    """Resize the shorter side to a given length and keep the aspect ratio.

    Args:
        size (int): Length of the shorter side.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        short = min(height, width)
        results['img'] = resize(
            results['img'], int(self.size * width / short), int(self.size * height / short)
        )
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class PackClassInputs(BaseTransform):
    """Pack an image and its label into the inputs of :class:`ImageClassifier`."""

    def transform(self, results: dict) -> dict:
        image = np.ascontiguousarray(results['img'].transpose(2, 0, 1))
        sample = BaseDataElement(
            metainfo=dict(img_path=results['img_path'], img_shape=results['img_shape']),
            gt_label=torch.tensor(results['gt_label']),
        )
        return dict(inputs=torch.from_numpy(image), data_samples=sample)


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize an image, uint8 (H, W, 3)."""
    return mmcv.imresize(image, (width, height), interpolation='bilinear', backend='pillow')
