"""Generated images are reproducible, and neither shape nor texture alone determines a class."""

from collections import Counter

import cv2
import numpy as np
import pytest

from epsanet_mmdet.datasets.shape_folder import class_names, draw_object, write_image_folder
from epsanet_mmdet.datasets.shapes import write_shapes
from epsanet_mmdet.errors import ArgumentError, DataError

SMALL = dict(classes=3, images_per_class=2, val_per_class=1, size=24)


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*.png'))
    }


def test_writes_both_splits_in_class_folders(tmp_path):
    names = write_image_folder(str(tmp_path), **SMALL)
    assert names == sorted(p.name for p in (tmp_path / 'train').iterdir())
    assert names == sorted(p.name for p in (tmp_path / 'val').iterdir())
    assert len(content(tmp_path / 'train')) == 6 and len(content(tmp_path / 'val')) == 3
    assert cv2.imread(str(next((tmp_path / 'train').rglob('*.png')))).shape == (24, 24, 3)


def test_equal_seeds_produce_equal_images_and_other_seeds_do_not(tmp_path):
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        write_image_folder(str(tmp_path / name), **SMALL, seed=seed)
    a, b, c = (content(tmp_path / name) for name in 'abc')
    assert a == b
    assert all(a[path] != c[path] for path in a)
    assert len(set(a.values())) == len(a), 'no image is in both splits'


def test_images_are_drawn_again_for_other_settings_only(tmp_path):
    write_image_folder(str(tmp_path), **SMALL)
    image = next((tmp_path / 'train').rglob('*.png'))
    image.write_bytes(b'kept')
    write_image_folder(str(tmp_path), **SMALL)
    assert image.read_bytes() == b'kept'
    write_image_folder(str(tmp_path), **{**SMALL, 'classes': 2})
    assert len(content(tmp_path)) == 6 and b'kept' not in content(tmp_path).values()


def test_an_interrupted_drawing_is_repeated(tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr('epsanet_mmdet.datasets.shape_folder.draw_object', interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_image_folder(str(tmp_path), **SMALL)
    write_image_folder(str(tmp_path), **SMALL)
    assert len(content(tmp_path)) == 9


@pytest.mark.parametrize(
    ('write', 'mine'),
    [
        (lambda root: write_image_folder(root, **SMALL), 'train/cat/mine.png'),
        (lambda root: write_image_folder(root, **SMALL), 'val/cat/mine.png'),
        (lambda root: write_image_folder(root, **SMALL), 'settings.json'),
        (lambda root: write_shapes(root, 1, 1, 64), 'train/000001.png'),
        (lambda root: write_shapes(root, 1, 1, 64), 'annotations/train.json'),
        (lambda root: write_shapes(root, 1, 1, 64), 'annotations/settings.json'),
    ],
)
def test_files_that_were_not_generated_are_never_replaced(write, mine, tmp_path):
    path = tmp_path / mine
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('[mine]')
    with pytest.raises(DataError, match='exists and was not generated; choose another folder'):
        write(str(tmp_path))
    assert [p for p in tmp_path.rglob('*') if p.is_file()] == [path]
    assert path.read_text() == '[mine]'


def test_neither_shape_nor_texture_determines_the_class():
    for position in (0, 1):
        part = Counter(name.split('_')[position] for name in class_names(10))
        assert len(part) == 4 and min(part.values()) >= 2


def test_classes_have_no_colour_of_their_own():
    means = {
        name: np.mean([draw_object(name, 32, np.random.default_rng(i)) for i in range(60)])
        for name in class_names(4)
    }
    assert np.ptp(list(means.values())) < 12


@pytest.mark.parametrize(
    'options', [dict(classes=1), dict(classes=17), dict(images_per_class=0), dict(size=4)], ids=str
)
def test_impossible_settings_are_errors(options, tmp_path):
    with pytest.raises(ArgumentError, match=str(next(iter(options.values())))):
        write_image_folder(str(tmp_path), **{**SMALL, **options})
