"""Boxes, polygons and masks stay together when their image is rotated or scaled."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from epsanet_mmdet.datasets.segmentation import box_of
from epsanet_mmdet.own_data.lint.transform import rotate, scale


@pytest.mark.parametrize('orientation', range(2, 9))
def test_rotating_moves_boxes_polygons_and_masks_alike(orientation):
    mask = np.zeros((48, 64), np.uint8, order='F')
    mask[5:20, 10:50] = 1
    rle = coco_mask.encode(mask)
    rle['counts'] = rle['counts'].decode()
    polygon = [[10, 5, 50, 5, 50, 20, 10, 20]]
    rotated = rotate(dict(bbox=[10, 5, 40, 15], segmentation=rle), orientation, (64, 48))
    assert rotated['bbox'] == list(coco_mask.toBbox(rotated['segmentation']))
    again = rotate(dict(bbox=[10, 5, 40, 15], segmentation=polygon), orientation, (64, 48))
    assert again['bbox'] == rotated['bbox'] == box_of(again['segmentation'], (64, 48))


def test_scaling_moves_boxes_polygons_and_masks_alike():
    mask = np.zeros((48, 64), np.uint8, order='F')
    mask[8:20, 10:50] = 1
    rle = coco_mask.encode(mask)
    moved = scale(dict(bbox=[10, 8, 40, 12], segmentation=rle, area=480), (64, 48), (128, 96))
    assert moved['bbox'] == list(coco_mask.toBbox(moved['segmentation'])) == [20, 16, 80, 24]
    assert moved['area'] == 4 * 480
