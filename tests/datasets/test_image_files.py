"""Reading single images: what mmdet would load, and what must not be loaded."""

import resource

import cv2
import numpy as np
import pytest
from broken_images import png_claiming, save_as, save_turned

from epsanet_mmdet.datasets.image_files import read_image, read_size


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif'])
def test_sizes_are_those_that_opencv_loads(orientation, suffix, tmp_path):
    path = tmp_path / f'gedreht 回転.{suffix}'
    save_turned(path, orientation)
    height, width = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert read_image(str(path)).size == read_size(str(path)) == (width, height)


@pytest.mark.parametrize(
    'mode, suffix',
    [
        ('L', 'png'),
        ('L', 'jpg'),
        ('1', 'png'),
        ('P', 'png'),
        ('LA', 'png'),
        ('RGBA', 'png'),
        ('RGBA', 'webp'),
        ('I;16', 'png'),
        ('I;16', 'tif'),
        ('CMYK', 'jpg'),
        ('RGB', 'bmp'),
    ],
)
def test_kinds_of_pixels(mode, suffix, tmp_path):
    path = tmp_path / f'a picture.{suffix}'
    save_as(path, mode)
    facts = read_image(str(path))
    assert facts.fault is None and facts.size == (64, 48) and facts.mode
    assert cv2.imread(str(path), cv2.IMREAD_COLOR).shape == (48, 64, 3)


def test_a_gigantic_image_takes_no_memory(tmp_path):
    path = tmp_path / 'gigantic.png'
    path.write_bytes(png_claiming(60000, 60000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_image(str(path)).fault.startswith('gigantic')
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_identical_images_have_the_same_digest(tmp_path):
    save_as(tmp_path / 'a.png', 'RGB')
    save_as(tmp_path / 'b.bmp', 'RGB')
    save_as(tmp_path / 'c.png', 'RGB', (48, 64))
    digests = [read_image(str(path)).digest for path in sorted(tmp_path.iterdir())]
    assert digests[0] == digests[1] != digests[2]
