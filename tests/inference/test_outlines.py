"""The outline of a mask is one ring of few points that encloses the mask, its parts and holes."""

import numpy as np
import pytest
from label_cases import blob, drawn, encode, iou, ring_and_dot

from epsanet_mmdet.inference.labels.outlines import outline


def check(mask, minimum=0.97):
    rle = encode(mask)
    ring = outline(rle)
    assert ring.shape[1] == 2
    assert (ring >= 0).all() and (ring <= np.array(mask.shape[::-1])).all()
    assert iou(drawn(ring.flatten(), mask.shape), rle) > minimum
    return ring


@pytest.mark.parametrize('seed', range(20))
def test_random_masks_with_holes_and_parts_are_enclosed(seed):
    check(blob((90, 140), seed, grain=2 + seed % 10, share=0.1 + 0.04 * seed))


@pytest.mark.parametrize('seed', range(5))
def test_noise_is_enclosed(seed):
    check(np.random.default_rng(seed).random((30, 40)) < 0.5)


def test_a_ring_with_an_island_and_a_further_part():
    check(ring_and_dot())


@pytest.mark.parametrize('shape', [(1, 1), (1, 7), (7, 1), (2, 2), (5, 9)])
def test_a_rectangle_has_its_four_corners(shape):
    mask = np.zeros((20, 30), bool)
    mask[3 : 3 + shape[0], 4 : 4 + shape[1]] = True
    ring = check(mask, 0.999)
    right, bottom = 4 + shape[1], 3 + shape[0]
    assert sorted(map(tuple, ring)) == sorted([(4, 3), (right, 3), (4, bottom), (right, bottom)])


def test_a_full_image_and_thin_lines():
    check(np.ones((20, 30), bool), 0.999)
    check(np.eye(20, 30, dtype=bool))
    check(np.eye(20, dtype=bool)[::-1])


def test_an_empty_mask_has_no_points():
    assert outline(encode(np.zeros((20, 30)))).shape == (0, 2)


def test_large_round_masks_have_few_points():
    y, x = np.mgrid[:1000, :1000]
    assert len(check((x - 500) ** 2 + (y - 500) ** 2 < 400**2)) < 150
