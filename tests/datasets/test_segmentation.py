"""Run lengths are decoded as pycocotools does."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from epsanet_mmdet.datasets.segmentation import area_of, box_of, rle_fault, rle_runs
from epsanet_mmdet.own_data.lint.transform import rotate, scale


@pytest.mark.parametrize('density', [0.001, 0.1, 0.5, 0.99])
@pytest.mark.parametrize('shape', [(1, 1), (7, 300), (480, 640)])
def test_runs(density, shape):
    mask = np.asfortranarray(np.random.default_rng(1).random(shape) < density).astype(np.uint8)
    mask[0, 0] = 1
    rle = coco_mask.encode(np.asfortranarray(mask))
    runs = rle_runs(rle['counts'].decode())
    flat = np.repeat(np.arange(len(runs)) % 2, runs).reshape(shape[::-1]).T
    assert (flat == mask).all()
    assert rle_fault(rle, shape[::-1]) is None
    plain = dict(size=list(shape), counts=runs.tolist())
    assert rle_fault(plain, shape[::-1]) is None
    assert area_of(plain, shape[::-1]) == mask.sum()
    assert box_of(plain, shape[::-1]) == list(coco_mask.toBbox(rle))


@pytest.mark.parametrize('orientation', range(2, 9))
def test_turning_moves_boxes_polygons_and_masks_alike(orientation):
    mask = np.zeros((48, 64), np.uint8, order='F')
    mask[5:20, 10:50] = 1
    rle = coco_mask.encode(mask)
    rle['counts'] = rle['counts'].decode()
    polygon = [[10, 5, 50, 5, 50, 20, 10, 20]]
    turned = rotate(dict(bbox=[10, 5, 40, 15], segmentation=rle), orientation, (64, 48))
    assert turned['bbox'] == list(coco_mask.toBbox(turned['segmentation']))
    again = rotate(dict(bbox=[10, 5, 40, 15], segmentation=polygon), orientation, (64, 48))
    assert again['bbox'] == turned['bbox'] == box_of(again['segmentation'], (64, 48))


def test_scaling_moves_boxes_polygons_and_masks_alike():
    mask = np.zeros((48, 64), np.uint8, order='F')
    mask[8:20, 10:50] = 1
    rle = coco_mask.encode(mask)
    moved = scale(dict(bbox=[10, 8, 40, 12], segmentation=rle, area=480), (64, 48), (128, 96))
    assert moved['bbox'] == list(coco_mask.toBbox(moved['segmentation'])) == [20, 16, 80, 24]
    assert moved['area'] == 4 * 480
