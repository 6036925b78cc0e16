"""A folder of any images becomes three disjoint sets of views."""

import pytest
import torch
from PIL import Image
from teacher_files import write

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.weight_transfer.images import batches, draw_pictures, read_pictures


def test_a_fifth_is_held_out_and_no_image_is_in_two_parts(tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    for i in range(20):  # each image of a grey of its own
        Image.new('RGB', (50, 50), (10 * i,) * 3).save(folder / f'{i}.png')
    found = read_pictures(folder, size=32, views=2)
    greys = [set(part[:, 0, 16, 16].tolist()) for part in found[:3]]
    assert [len(part) for part in found[:3]] == [24, 8, 4]
    assert [len(grey) for grey in greys] == [12, 4, 4]
    assert len(set.union(*greys)) == 20


def test_folders_within_and_all_modes_and_shapes_are_read(tmp_path):
    write(tmp_path / 'a', 4, size=(300, 20))
    write(tmp_path / 'b' / 'ünïcode dir', 4, mode='L', size=(1, 1))
    write(tmp_path / 'c', 4, mode='CMYK', suffix='.jpg')
    write(tmp_path / 'd', 4, mode='RGBA', size=(20, 300))
    found = read_pictures(tmp_path, size=32)
    assert sum(map(len, found[:3])) == 16 and found.skipped == 0
    assert found.fit.shape[1:] == (3, 32, 32) and found.fit.dtype == torch.uint8


def test_unreadable_files_are_skipped_and_counted(tmp_path):
    write(tmp_path, 12)
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.png').write_text('no image')
    (tmp_path / 'notes.txt').write_text('not looked at')
    whole = (tmp_path / '000.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(whole[: len(whole) // 2])
    found = read_pictures(tmp_path, size=32)
    assert sum(map(len, found[:3])) == 12 and found.skipped == 3


@pytest.mark.parametrize('count', [0, 9])
def test_too_few_images_are_refused(count, tmp_path):
    write(tmp_path, count)
    (tmp_path / 'broken.png').write_text('')
    with pytest.raises(DataError, match=f'has {count} images .* and 1 that cannot be read.* 10'):
        read_pictures(tmp_path, size=32)


@pytest.mark.parametrize('name', ['nowhere', 'file.png'])
def test_a_path_that_is_not_a_folder_is_refused(name, tmp_path):
    write(tmp_path, 1)
    (tmp_path / '000.png').rename(tmp_path / 'file.png')
    with pytest.raises(DataError, match=f"{name}' is no folder"):
        read_pictures(tmp_path / name)


def test_the_same_seed_gives_the_same_views(tmp_path):
    write(tmp_path, 15)
    first, again, other = (read_pictures(tmp_path, 32, views=3, seed=s) for s in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first[:3], again[:3]))
    assert not torch.equal(first.fit, other.fit)


def test_at_most_max_images_are_read(tmp_path):
    write(tmp_path, 30)
    assert sum(map(len, read_pictures(tmp_path, 32, max_images=15)[:3])) == 15


def test_batches_are_normalised_like_the_detectors_inputs():
    white = torch.full((5, 3, 8, 8), 255, dtype=torch.uint8)
    sizes = [len(batch) for batch in batches(white, batch_size=2)]
    assert sizes == [2, 2, 1]
    first = next(batches(white))
    expected = torch.tensor([(255 - 123.675) / 58.395, (255 - 116.28) / 57.12, 2.6400])
    torch.testing.assert_close(first[0, :, 0, 0], expected, rtol=1e-4, atol=1e-4)


def test_channels_are_rgb(tmp_path):
    for i in range(10):
        Image.new('RGB', (40, 40), (200, 100, 0)).save(tmp_path / f'{i}.png')
    assert read_pictures(tmp_path, 32).fit[0, :, 5, 5].tolist() == [200, 100, 0]


def test_pictures_can_be_generated():
    drawn = draw_pictures(64, count=3)
    assert drawn.held_out.shape == (3, 3, 64, 64) and len(drawn.fit) == 0
    assert drawn.held_out.float().std() > 10
