"""The transforms of ImageNet training, against their definitions and Pillow."""

import numpy as np
import pytest
from PIL import Image

from epsanet_mmdet.pretraining import PackClassInputs, RandomResizedCrop, ResizeShortSide


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(autouse=True)
def _numpy_seed():
    np.random.seed(0)


@pytest.mark.parametrize('height, width', [(50, 80), (1, 1), (3, 400), (400, 3), (224, 224)])
def test_a_crop_lies_in_the_image_and_is_resized_to_a_square(height, width):
    crop = RandomResizedCrop(24)
    for _ in range(50):
        left, top, w, h = crop.crop_box(height, width)
        assert 0 <= left <= left + w <= width and 0 <= top <= top + h <= height
        assert w > 0 and h > 0
    results = crop(dict(img=image(height, width)))
    assert results['img'].shape == (24, 24, 3) and results['img_shape'] == (24, 24)


def test_crops_have_the_area_and_ratio_asked_for():
    crop = RandomResizedCrop(8, area=(0.2, 0.5), ratio=(0.5, 2.0))
    boxes = np.array([crop.crop_box(300, 300) for _ in range(3000)], float)
    area = boxes[:, 2] * boxes[:, 3] / 300**2
    ratio = boxes[:, 2] / boxes[:, 3]
    assert 0.195 < area.min() < 0.21 and 0.48 < area.max() < 0.505
    assert 0.49 < ratio.min() < 0.53 and 1.9 < ratio.max() < 2.05
    assert abs(np.median(np.log(ratio))) < 0.05, 'wide and high alike'
    assert abs(area.mean() - 0.35) < 0.01, 'areas are uniform'
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    assert np.abs(centre.mean(axis=0) - 150).max() < 5, 'no side is preferred'


def test_an_image_too_narrow_for_the_ratios_is_cut_in_its_centre():
    crop = RandomResizedCrop(8, area=(1.0, 1.0))
    left, top, w, h = crop.crop_box(10, 100)
    assert (w, h) == (13, 10) and (left, top) == (43, 0)


@pytest.mark.parametrize('height, width', [(60, 90), (90, 60), (60, 61), (30, 31)])
def test_the_shorter_side_gets_its_length_as_pillow_resizes(height, width):
    pixels = image(height, width)
    results = ResizeShortSide(40)(dict(img=pixels))
    assert min(results['img_shape']) == 40
    h, w = results['img_shape']
    assert abs(w / h - width / height) < 0.05
    expected = Image.fromarray(pixels).resize((w, h), Image.Resampling.BILINEAR)
    assert np.array_equal(results['img'], expected)


def test_resizing_down_averages_and_does_not_alias():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = ResizeShortSide(8)(dict(img=stripes))['img']
    assert np.abs(small[:, 1:-1].astype(int) - 127).max() <= 8


def test_packing_keeps_pixels_label_and_path():
    pixels = image(4, 6)
    packed = PackClassInputs()(dict(img=pixels, img_path='a.png', img_shape=(4, 6), gt_label=5))
    assert packed['inputs'].permute(1, 2, 0).numpy().tolist() == pixels.tolist()
    assert packed['data_samples'].gt_label == 5
    assert packed['data_samples'].img_path == 'a.png'
