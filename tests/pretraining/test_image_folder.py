"""Class folders load as labelled images, and every fault in them is named in one line."""

import shutil
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from one_line import error_line
from PIL import Image

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.pretraining import ImageFolder

PIPELINE = [dict(type='mmdet.LoadImageFromFile'), dict(type='mmdet.PackClassInputs')]


def save(path, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def tree(tmp_path):
    for split in ('train', 'val'):
        for k, name in enumerate(('zebra', 'ant', 'bögen 箱')):
            for j in range(2):
                save(tmp_path / split / name / f'{j}.png', 10 * k + j)
    return tmp_path


def build(root, split='train', **options) -> ImageFolder:
    return ImageFolder(str(root), split, pipeline=PIPELINE, **options)


error = partial(error_line, DataError)


def test_classes_are_numbered_in_sorted_order(tree):
    dataset = build(tree)
    assert dataset.metainfo['classes'] == ('ant', 'bögen 箱', 'zebra')
    names = [dataset.get_data_info(i)['img_path'].split('/')[-2] for i in range(len(dataset))]
    labels = [dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))]
    assert names == ['ant'] * 2 + ['bögen 箱'] * 2 + ['zebra'] * 2
    assert labels == [0, 0, 1, 1, 2, 2]


def test_an_item_is_the_image_and_its_label(tree):
    item = build(tree)[4]
    assert item['inputs'].shape == (3, 9, 12) and item['inputs'].dtype == torch.uint8
    sample = item['data_samples']
    assert sample.gt_label == 2 and sample.img_path.endswith('zebra/0.png')
    pixels = np.asarray(Image.open(sample.img_path))[..., ::-1]  # BGR, as mmdet loads it
    assert np.array_equal(item['inputs'].permute(1, 2, 0), pixels)


def test_images_in_subfolders_are_read_and_other_files_are_ignored(tree):
    save(tree / 'train' / 'ant' / 'more' / 'x.JPEG')
    (tree / 'train' / 'ant' / 'notes.txt').write_text('')
    (tree / 'train' / 'readme.txt').write_text('')
    (tree / 'train' / '.cache').mkdir()
    assert len(build(tree)) == 7


def test_linked_class_folders_are_read(tree, tmp_path):
    shutil.move(tree / 'train' / 'ant', tmp_path / 'elsewhere')
    (tree / 'train' / 'ant').symlink_to(tmp_path / 'elsewhere')
    assert len(build(tree)) == 6


def test_a_missing_folder_is_named(tree):
    message = error(build, tree, 'test')
    assert str(tree / 'test') in message and 'IMAGENET_ROOT' in message


def test_a_folder_without_classes_is_named(tree):
    save(tree / 'flat' / 'a.png')
    assert f"'{tree / 'flat'}' has no class folders" in error(build, tree, 'flat')


def test_an_empty_class_is_named(tree):
    (tree / 'train' / 'empty').mkdir()
    message = error(build, tree)
    assert str(tree / 'train' / 'empty') in message and 'no image' in message


@pytest.mark.parametrize('damage', ['cut', 'empty', 'text'])
def test_a_damaged_image_is_named_at_the_start_or_left_out(damage, tree):
    path = tree / 'train' / 'ant' / '1.png'
    content = path.read_bytes()
    path.write_bytes({'cut': content[:-30], 'empty': b'', 'text': b'<html>'}[damage])
    message = error(build, tree)
    assert str(path) in message and 'skip_bad_images=True' in message
    assert len(build(tree, skip_bad_images=True)) == 5


@pytest.mark.parametrize('workers', [0, 1])
def test_an_image_that_cannot_be_decoded_is_named_when_it_is_loaded(workers, tree):
    """Both ends of the file are intact, so only decoding shows the damage."""
    path = tree / 'train' / 'ant' / '0.png'
    content = path.read_bytes()
    path.write_bytes(content[:43] + bytes(len(content) - 63) + content[-20:])
    loader = torch.utils.data.DataLoader(
        build(tree), batch_size=6, num_workers=workers, collate_fn=pseudo_collate
    )
    message = error(lambda: next(iter(loader)))
    assert message.startswith(f"image '{path}' cannot be read") and message.count(str(path)) == 1


def test_an_error_of_the_pipeline_is_not_blamed_on_the_image(tree):
    pipeline = [PIPELINE[0], dict(type='mmdet.CenterCrop', crop_size='wide'), PIPELINE[1]]
    with pytest.raises((AssertionError, TypeError)):
        ImageFolder(str(tree), 'train', pipeline=pipeline)[0]
