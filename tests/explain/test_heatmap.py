"""Heat is drawn where it is, over an image that stays recognisable."""

import numpy as np
import pytest

from epsanet_mmdet.explain.heatmap import css_colours, draw_heat

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.mark.parametrize('fading', [False, True])
def test_heat_is_drawn_where_it_is(fading):
    before, heat = IMAGE.copy(), np.zeros((4, 6))
    heat[1, 4] = 1
    flat = np.full_like(IMAGE, 128)
    drawn = draw_heat(flat, heat, fading)
    warmth = drawn[..., 2].astype(int) - drawn[..., 0]
    y, x = np.unravel_index(warmth.argmax(), warmth.shape)
    assert 8 <= y < 22 and 38 <= x < 52
    assert draw_heat(IMAGE, heat, fading).shape == IMAGE.shape
    assert np.array_equal(IMAGE, before)


def test_a_fading_map_leaves_the_cold_part_of_the_image_grey():
    drawn = draw_heat(IMAGE, np.zeros((2, 2)), fading=True)
    assert (drawn == drawn[..., :1]).all() and drawn.std() > 40
    assert (draw_heat(IMAGE, np.zeros((2, 2))) != drawn).any()


def test_the_key_has_the_colours_of_the_map():
    end = draw_heat(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1)))[0, 0] / 0.6
    red, green, blue = map(int, css_colours()[-1][4:-1].split(' / ')[0].split())
    np.testing.assert_allclose([blue, green, red], end, atol=1)
    assert css_colours(fading=True)[0].endswith('/ 0.00)')
    assert {colour[-5:-1] for colour in css_colours()} == {'1.00'}
