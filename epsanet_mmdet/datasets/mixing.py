"""Transforms that mix several images, with boxes and masks, for ``MultiImageMixDataset``."""

from typing import Any, Dict, List, Sequence

import numpy as np
from mmdet.datasets.transforms import CopyPaste, Mosaic
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import BitmapMasks

CORNERS = ('top_left', 'top_right', 'bottom_left', 'bottom_right')


@TRANSFORMS.register_module()
class InstanceMosaic(Mosaic):
    """Place four images around a random point of a canvas, which cuts them, with their masks.

    mmdet's ``Mosaic`` moves no masks, and its ``CachedMosaic`` mixes images of earlier iterations,
    which no checkpoint holds. Here the images keep their scale, and a mosaic is no larger than
    an image: size them before. Mosaics are from YOLOv4 (https://arxiv.org/abs/2004.10934).

    Args:
        size (int): Width and height of the canvas in pixels, rounded down to an even number.
        prob (float): Probability of a mosaic; an image that stays alone is not changed.
        pad_val (float): Value of the pixels without an image.
    """

    def __init__(self, size: int, prob: float = 1.0, pad_val: float = 114.0) -> None:
        super().__init__(img_scale=(size // 2, size // 2), prob=prob, pad_val=pad_val)

    def get_indexes(self, dataset: Sequence) -> List[int]:
        """Return the indices of three other images, or none for an image that stays alone."""
        return super().get_indexes(dataset) if np.random.uniform() < self.prob else []

    @autocast_box_type()
    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        parts = [results, *results['mix_results']]
        if len(parts) == 1:
            return results
        half = self.img_scale[0]
        centre = [int(half * np.random.uniform(*self.center_ratio_range)) for _ in range(2)]
        image = np.full((2 * half, 2 * half, 3), self.pad_val, results['img'].dtype)
        masks = []
        for part, corner in zip(parts, np.random.permutation(CORNERS)):
            place, cut = self._mosaic_combine(corner, centre, part['img'].shape[1::-1])
            image[_window(place)] = part['img'][_window(cut)]
            part['gt_bboxes'].translate_([place[0] - cut[0], place[1] - cut[1]])
            if 'gt_masks' in results:
                moved = np.zeros((len(part['gt_masks']), *image.shape[:2]), np.uint8)
                moved[(..., *_window(place))] = part['gt_masks'].masks[(..., *_window(cut))]
                masks.append(moved)
        boxes = results['gt_bboxes'].cat([part['gt_bboxes'] for part in parts])
        boxes.clip_(image.shape[:2])
        inside = boxes.is_inside(image.shape[:2]).numpy()
        results.update(img=image, img_shape=image.shape[:2], gt_bboxes=boxes[inside])
        for name in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[name] = np.concatenate([part[name] for part in parts])[inside]
        if masks:
            results['gt_masks'] = BitmapMasks(np.concatenate(masks)[inside], *image.shape[:2])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={2 * self.img_scale[0]}, prob={self.prob})'


@TRANSFORMS.register_module()
class ByteCopyPaste(CopyPaste):
    """mmdet's ``CopyPaste``, with images of 8 bits instead of 64."""

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        dtype = results['img'].dtype
        results = super().transform(results)
        results['img'] = results['img'].astype(dtype, copy=False)
        return results


def _window(box: Sequence[int]) -> tuple:
    """Return the slices of left, top, right and bottom in an array (height, width)."""
    left, top, right, bottom = box
    return slice(top, bottom), slice(left, right)
