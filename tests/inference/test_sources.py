"""Inputs are found, and images are read as in training, whatever their format and name."""

import os
import resource
import struct

import cv2
import numpy as np
import pytest
from broken_images import tiff_bomb
from media import picture, video
from PIL import Image

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.inference import sources
from epsanet_mmdet.inference.sources import count_frames, find_sources, read_frames
from epsanet_mmdet.utils.images import SUFFIXES


def read_one(path):
    (frame,) = read_frames(find_sources([path]))
    return frame


def test_folders_patterns_and_files_are_found_once(tmp_path):
    for name in ('b 1.jpg', 'ä.PNG', 'sub/c.jpg'):
        picture(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('no image')
    assert [s.name for s in find_sources([str(tmp_path)])] == ['b 1.jpg', 'ä.PNG']
    deep = find_sources([str(tmp_path / '**' / '*.jpg')])
    assert sorted(s.name for s in deep) == ['b 1.jpg', 'c.jpg']
    twice = find_sources([str(tmp_path), str(tmp_path / 'b 1.jpg')])
    assert len(twice) == 2


@pytest.mark.parametrize('suffix', sorted(SUFFIXES))
def test_every_format_that_data_sets_have_is_found_in_a_folder(suffix, tmp_path):
    (tmp_path / f'a{suffix}').touch()
    assert [s.name for s in find_sources([str(tmp_path)])] == [f'a{suffix}']


def test_a_name_with_brackets_is_a_file(tmp_path):
    path = picture(tmp_path / 'a[1].png')
    assert [s.path for s in find_sources([path])] == [path]


def test_files_of_the_same_name_keep_their_folders(tmp_path):
    for name in ('one/a.jpg', 'two/a.jpg'):
        picture(tmp_path / name)
    found = find_sources([str(tmp_path / 'one'), str(tmp_path / 'two')])
    assert [s.name for s in found] == ['one/a.jpg', 'two/a.jpg']


@pytest.mark.parametrize(
    ('given', 'reason'),
    [('absent.jpg', 'does not exist'), ('empty', 'contains no'), ('*.jpg', 'contains no')],
)
def test_an_input_without_images_is_named(tmp_path, given, reason):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match=reason):
        find_sources([str(tmp_path / given)])


@pytest.mark.parametrize(
    ('mode', 'name', 'color'),
    [
        ('L', 'grey.png', 90),
        ('I;16', 'deep.png', 90 * 256),
        ('RGBA', 'alpha.png', (90, 90, 90, 10)),
        ('P', 'palette.png', None),
        ('1', 'bits.png', None),
        ('CMYK', 'print.jpg', (0, 0, 0, 165)),
        ('L', 'grey.tif', 90),
        ('RGB', 'öffentlich 1.webp', (90, 90, 90)),
    ],
)
def test_every_kind_of_image_becomes_8_bit_bgr(tmp_path, mode, name, color):
    frame = read_one(picture(tmp_path / name, mode, color=color))
    assert frame.fault is None
    assert frame.image.shape == (8, 12, 3)
    assert frame.image.dtype == np.uint8
    if color is not None:
        assert np.abs(frame.image.astype(int) - 90).max() <= 2


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    frame = read_one(picture(tmp_path / 'turned.jpg', exif=exif))
    assert frame.image.shape == (12, 8, 3)


@pytest.mark.parametrize('content', [b'', b'no image', b'\xff\xd8\xff\xe0 torn'])
@pytest.mark.parametrize('name', ['bad.jpg', 'bad.mp4'])
def test_a_bad_file_is_a_frame_with_a_fault(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    frame = read_one(str(tmp_path / name))
    assert frame.image is None
    assert frame.fault


def test_gigantic_images_are_shrunk(tmp_path):
    frame = read_one(picture(tmp_path / 'big.png', 'L', (9000, 6000)))
    assert frame.size == (6000, 9000)
    assert frame.image.shape[0] * frame.image.shape[1] <= sources.PIXEL_LIMIT
    long = read_one(picture(tmp_path / 'long.png', 'L', (40000, 4)))
    assert long.image.shape == (1, sources.SIDE_LIMIT, 3)


def test_videos_are_read_frame_by_frame(tmp_path):
    found = find_sources([video(tmp_path / 'clip.mp4'), picture(tmp_path / 'a.png')])
    assert count_frames(found) == 6
    frames = list(read_frames(found))
    assert [f.index for f in frames] == [0, 1, 2, 3, 4, None]
    assert frames[2].name == 'clip.mp4 #2'
    assert frames[0].fps == 10
    assert abs(int(frames[2].image.mean()) - 80) < 5


@pytest.mark.parametrize('name', ['pipe.mp4', 'pipe.png'])
def test_pipes_are_not_waited_for(name, tmp_path):
    os.mkfifo(tmp_path / name)
    assert read_one(str(tmp_path / name)).fault
    assert count_frames(find_sources([str(tmp_path / name)])) in (0, 1)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB


@pytest.mark.parametrize('name', ['bomb.tif', 'bomb.jpg', 'bomb0.mp4', 'bomb.avi'])
def test_bombs_take_no_memory_whatever_their_name(name, tmp_path):
    # 17 KB of signed samples, which Pillow refuses and OpenCV decodes to 1,024 megapixels
    signed = (339, 'H', [2, 2, 2])
    content = tiff_bomb(32768, 32768, bits=16, samples=3, tags=[signed])
    (tmp_path / name).write_bytes(content)
    before = peak()
    assert count_frames(find_sources([str(tmp_path / name)])) in (0, 1)
    frame = read_one(str(tmp_path / name))
    assert frame.image is None and frame.fault
    assert peak() - before < 50_000


@pytest.mark.filterwarnings('ignore:Image size')
def test_an_image_with_the_name_of_a_video_is_not_decoded_by_opencv(tmp_path):
    Image.new('RGB', (10000, 10000)).save(tmp_path / 'clip.png')  # above the limit
    (tmp_path / 'clip.png').rename(tmp_path / 'clip0.mp4')
    before = peak()
    (source,) = find_sources([str(tmp_path / 'clip0.mp4')])
    assert count_frames([source]) == 0
    assert read_one(source.path).fault == 'cannot be opened as a video'
    assert peak() - before < 50_000


def motion_jpeg(path, size, claimed=None):
    """Write a video of black frames; its header may claim another size than they have."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, size)
    writer.write(np.zeros((size[1], size[0], 3), np.uint8))
    writer.release()
    content = bytearray(path.read_bytes())
    if claimed:
        for place in (content.index(b'avih') + 40, content.index(b'strf') + 12):
            content[place : place + 8] = struct.pack('<II', *claimed)
        path.write_bytes(content)
    return str(path)


def test_videos_of_absurd_size_are_refused(tmp_path):
    fault = 'gigantic: 12000x8000 pixels, more than 89478485 are not read; scale it down'
    assert read_one(motion_jpeg(tmp_path / 'large.avi', (12000, 8000))).fault == fault
    lying = motion_jpeg(tmp_path / 'lying.avi', (12000, 8000), claimed=(64, 48))
    assert read_one(lying).fault == fault
    claiming = motion_jpeg(tmp_path / 'claiming.avi', (64, 48), claimed=(50000, 50000))
    before = peak()
    assert read_one(claiming).image.shape == (48, 64, 3)  # as its frames have it
    assert peak() - before < 50_000


def test_a_webcam_is_read_until_it_ends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = find_sources(['0'])
    assert found[0].is_webcam
    assert count_frames(found) is None
    opened = []

    class Camera:
        def __init__(self, index):
            opened.append(index)
            self.left = 3

        def get(self, _):
            return 0.0

        def read(self):
            self.left -= 1
            return self.left >= 0, np.zeros((4, 6, 3), np.uint8)

        def release(self):
            opened.append('released')

    monkeypatch.setattr(cv2, 'VideoCapture', Camera)
    frames = list(read_frames(found))
    assert len(frames) == 3
    assert frames[0].fps == sources.WEBCAM_FPS
    assert opened == [0, 'released']
