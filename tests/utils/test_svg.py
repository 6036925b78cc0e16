"""Outlines are SVG paths of COCO segmentations, and unreadable images keep their place."""

import numpy as np
import pytest
from media import picture
from pycocotools import mask as coco_masks

from epsanet_mmdet.utils.svg import LONGEST_SIDE, load_picture, outline


def test_a_polygon_keeps_its_points_to_a_tenth_of_a_pixel():
    assert outline([[1, 2, 9, 2, 9.56, 8.24]]) == 'M1 2L9 2L9.6 8.2Z'


@pytest.mark.parametrize('segmentation', [None, [], [[]], [[1, 2, 3, 4]], [[1, 1, 1, 1, 1, 1]]])
def test_what_has_no_area_has_no_outline(segmentation):
    assert outline(segmentation) == ''


@pytest.mark.parametrize('compressed', [True, False])
def test_run_lengths_have_an_outline_for_each_contour(compressed):
    area = np.zeros((40, 50), np.uint8, order='F')
    area[5:30, 5:30], area[12:22, 12:22] = 1, 0
    rle = coco_masks.encode(area)
    if not compressed:
        runs = np.flatnonzero(np.diff(area.flatten(order='F'), prepend=0, append=0))
        counts = np.diff(np.concatenate([[0], runs, [area.size]]))
        rle = dict(size=[40, 50], counts=counts.tolist())
    hole, ring = sorted(outline(rle).strip('Z').split('Z'), key=lambda path: '29' in path)
    assert set(ring.strip('M').split('L')) == {'5 5', '5 29', '29 29', '29 5'}
    assert '29' not in hole and hole.startswith('M')


def test_large_images_are_shrunk_and_keep_their_size_in_pixels(tmp_path):
    shown = load_picture(picture(tmp_path / 'a.png', size=(2000, 100)), 'a', (1, 1))
    assert (shown.width, shown.height) == (2000, 100)
    assert shown.uri.startswith('data:image/jpeg;base64,') and LONGEST_SIDE < 2000


def test_an_image_that_cannot_be_read_has_the_given_size(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'no image')
    shown = load_picture(str(tmp_path / 'a.png'), 'a', (30, 20))
    assert (shown.width, shown.height, shown.uri) == (30, 20, None)


def test_a_mask_has_the_outline_of_its_run_lengths():
    area = np.zeros((40, 50), bool)
    area[5:30, 5:30], area[12:22, 12:22] = True, False
    assert outline(area) == outline(coco_masks.encode(np.asfortranarray(area, np.uint8))) != ''
