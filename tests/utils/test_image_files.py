"""Images are read as mmdet loads them, and damaged or hostile ones are refused cheaply."""

import io
import os
import re
import resource
import struct
import time
import zlib
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from broken_images import png_claiming, rle_bmp, save_as, save_turned, tiff_bomb
from PIL import Image

import epsanet_mmdet
from epsanet_mmdet.datasets.checks import image_fault
from epsanet_mmdet.errors import DataError
from epsanet_mmdet.utils.images import header_fault, load_image, read_image, read_size

SIGNED = (339, 'H', [2, 2, 2])  # a TIFF's SampleFormat


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
def test_all_pixel_formats_are_decoded(mode, suffix, tmp_path):
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


def jpeg_of_many_scans(width, height, scans, progressive):
    """Return a JPEG of a few bytes whose pixels are scanned many times."""
    buffer = io.BytesIO()
    Image.new('L', (16, 16)).save(buffer, 'JPEG', progressive=progressive)
    content = bytearray(buffer.getvalue())
    frame = content.index(b'\xff\xc2' if progressive else b'\xff\xc0')
    content[frame + 5 : frame + 9] = struct.pack('>HH', height, width)
    scan = content[content.index(b'\xff\xda') : -2]
    return bytes(content[:-2] + scan * (scans - 1) + content[-2:])


@pytest.mark.parametrize('progressive', [False, True])
def test_a_jpeg_of_many_scans_takes_no_time(progressive, tmp_path):
    path = tmp_path / 'slow.jpg'
    path.write_bytes(jpeg_of_many_scans(9000, 9000, 500, progressive))
    begin = time.process_time()
    assert 'scans' in read_image(str(path)).fault
    if progressive:
        assert 'scans' in header_fault(str(path)) and 'scans' in image_fault(str(path))
    assert time.process_time() - begin < 1


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif', 'bmp', 'gif', 'ppm', 'jp2'])
def test_the_header_shows_that_an_image_of_any_format_is_gigantic(suffix, tmp_path):
    path = tmp_path / f'gigantic.{suffix}'
    Image.new('L', (16, 16)).save(path)
    content = bytearray(path.read_bytes())
    place, form = dict(
        jpg=(content.find(b'\xff\xc0') + 5, '>HH'),
        png=(16, '>II'),
        webp=(26, '<HH'),
        tif=(None, None),
        bmp=(18, '<ii'),
        gif=(6, '<HH'),
        ppm=(None, None),
        jp2=(None, None),
    )[suffix]
    if suffix == 'ppm':
        content = content.replace(b'16 16', b'60000 60000')
    elif suffix == 'jp2':
        content = content.replace(struct.pack('>II', 16, 16), struct.pack('>II', 60000, 60000))
    elif suffix == 'tif':
        for tag in (256, 257):
            kinds = (struct.pack('<HHI', tag, kind, 1) for kind in (3, 4))
            at = max(content.find(kind) for kind in kinds)
            content[at : at + 12] = struct.pack('<HHII', tag, 4, 1, 60000)
    else:
        large = 16383 if suffix == 'webp' else 60000
        content[place : place + struct.calcsize(form)] = struct.pack(form, large, large)
    if suffix == 'png':
        content[29:33] = struct.pack('>I', zlib.crc32(content[12:29]))
    path.write_bytes(content)
    begin = time.process_time()
    faults = read_image(str(path)).fault, header_fault(str(path)), image_fault(str(path))
    assert all(fault.startswith(('gigantic', 'cannot be decoded')) for fault in faults if fault)
    assert faults[0].startswith('gigantic') or suffix == 'webp'
    assert time.process_time() - begin < 1


@pytest.mark.parametrize('length', [2**20, 2**31 - 1, 2**32 - 1])
def test_a_png_whose_chunks_exceed_its_file_is_refused(length, tmp_path):
    path = tmp_path / 'a.png'
    save_as(path, 'RGBA')
    content = bytearray(path.read_bytes())
    place = content.index(b'IDAT') - 4
    content[place : place + 4] = struct.pack('>I', length)
    path.write_bytes(content)
    assert 'chunks' in header_fault(str(path)) and image_fault(str(path)) and read_image(path).fault


@pytest.mark.parametrize(
    'version, is_read', [('4.9.0', True), ('4.10.0', False), ('4.11.0', False), ('4.12.0', True)]
)
@pytest.mark.parametrize('suffix', ['jp2', 'png'])
def test_an_opencv_that_crashes_on_jpeg_2000_gets_none(
    suffix, version, is_read, tmp_path, monkeypatch
):
    path = str(tmp_path / f'a.{suffix}')
    save_as(path, 'RGB')
    monkeypatch.setattr(cv2, '__version__', version)
    if is_read or suffix == 'png':
        assert load_image(path).shape == (48, 64, 3) and read_image(path).fault is None
    else:
        with pytest.raises(DataError, match=f'OpenCV {version} .*install opencv-python>=4.12'):
            load_image(path)
        assert read_image(path).fault == image_fault(path) == header_fault(path)


@pytest.mark.parametrize('make', ['mkfifo', 'mkdir'])
def test_pipes_and_folders_are_refused_at_once(make, tmp_path):
    path = str(tmp_path / 'a.png')
    getattr(os, make)(path)
    assert read_image(path).fault.startswith('unreadable: it is a ')
    assert image_fault(path).startswith('unreadable: it is a ')
    assert read_size(path) is None and header_fault(path).startswith('unreadable')


def test_identical_images_have_the_same_digest(tmp_path):
    save_as(tmp_path / 'a.png', 'RGB')
    save_as(tmp_path / 'b.bmp', 'RGB')
    save_as(tmp_path / 'c.png', 'RGB', (48, 64))
    digests = [read_image(str(path)).digest for path in sorted(tmp_path.iterdir())]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    'name, content',
    [
        # signed samples, which OpenCV reads and Pillow does not: 1,024 megapixels and 5.9 GB
        ('signed.tif', tiff_bomb(32768, 32768, bits=16, samples=3, tags=[SIGNED])),
        ('grey.tif', tiff_bomb(32768, 32768)),
        ('two widths.tif', tiff_bomb(32768, 32768, tags=[(256, 'I', [64]), (257, 'I', [64])])),
        ('an image.jpg', tiff_bomb(32768, 32768)),
        ('rows.bmp', rle_bmp(30000, 30000)),
        ('a.png', png_claiming(32768, 32768)),
    ],
)
def test_bombs_take_no_memory(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    assert len(content) < 50_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match='gigantic|save it as PNG or JPEG'):
        load_image(str(path))
    assert read_image(str(path)).fault and image_fault(str(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize('tags', [[(256, 'I', [32])], [(40000 + i, 'I', [0]) for i in range(1000)]])
def test_tiffs_that_readers_may_understand_differently_are_refused(tags, tmp_path):
    (tmp_path / 'a.tif').write_bytes(tiff_bomb(64, 64))
    assert not image_fault(str(tmp_path / 'a.tif'))
    (tmp_path / 'b.tif').write_bytes(tiff_bomb(64, 64, tags=tags))
    with pytest.raises(DataError, match='TIFF tags are repeated or cut off; save it as PNG'):
        load_image(str(tmp_path / 'b.tif'))
    assert 'TIFF tags' in image_fault(str(tmp_path / 'b.tif'))


def test_a_big_tiff_is_read(tmp_path):
    path = str(tmp_path / 'a.tif')
    Image.new('RGB', (8, 6)).save(path, big_tiff=True)
    assert Path(path).read_bytes()[2] == 43
    assert load_image(path).shape == (6, 8, 3)


def test_a_format_that_pillow_cannot_read_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / 'signed.tif'
    path.write_bytes(tiff_bomb(64, 64, bits=16, samples=3, tags=[SIGNED]))
    assert cv2.imread(str(path)).shape == (64, 64, 3)
    with pytest.raises(DataError, match='its format is not supported; save it as PNG or JPEG'):
        load_image(str(path))


def test_a_sparse_file_is_not_read(tmp_path):
    path = tmp_path / 'long.png'
    save_as(path, 'RGB')
    os.truncate(path, 2**36)
    with pytest.raises(DataError, match='gigantic: 68719476736 bytes'):
        load_image(str(path))
    assert read_image(str(path)).fault.startswith('gigantic')


@pytest.mark.parametrize('orientation', [1, 6])
@pytest.mark.parametrize('mode, suffix', [('RGB', 'jpg'), ('RGBA', 'png'), ('L', 'tif')])
def test_images_are_loaded_as_mmdet_loads_them(mode, suffix, orientation, tmp_path):
    path = tmp_path / f'a.{suffix}'
    exif = Image.Exif()
    exif[0x0112] = orientation
    save_as(path, mode, exif=exif)
    wanted = mmcv.imread(str(path), flag='color', backend='cv2')
    np.testing.assert_array_equal(load_image(str(path)), wanted)


def test_only_one_place_decodes_images():
    """Code that decodes without checking the header first would be open to bombs again."""
    package = Path(epsanet_mmdet.__file__).parent
    decoders = r'\b(imread|imdecode|imfrombytes|imreadmulti|imreadanimation|Image\.open)\('
    found = {
        str(path.relative_to(package))
        for path in package.rglob('*.py')
        if re.search(decoders, path.read_text(encoding='utf-8'))
    }
    assert found == {'utils/images.py'}
