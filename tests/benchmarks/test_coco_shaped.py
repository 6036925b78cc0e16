"""A generated tree has the places, ids, classes and statistics of COCO, and its masks are valid."""

import json

import cv2
import numpy as np
import pytest
from coco_shaped import categories, draw_outlines, write_coco_shaped
from pycocotools.coco import COCO

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.own_data.lint import check_dataset


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'coco'
    write_coco_shaped(str(folder), train=60, val=50)
    return folder


def read(tree, name):
    return json.loads((tree / 'annotations' / f'instances_{name}2017.json').read_text())


def test_counts_are_in_proportion_to_those_of_coco(tree):
    for name, images, objects in (('train', 60, 436), ('val', 50, 368)):
        content = read(tree, name)
        assert (len(content['images']), len(content['annotations'])) == (images, objects)
        assert len(list((tree / f'{name}2017').iterdir())) == images


def test_images_have_the_size_and_name_that_the_annotations_say(tree):
    for name in ('train', 'val'):
        for image in read(tree, name)['images']:
            pixels = cv2.imread(str(tree / f'{name}2017' / image['file_name']))
            assert pixels.shape == (image['height'], image['width'], 3)
            assert int(image['file_name'].removesuffix('.jpg')) == image['id']


def test_categories_are_those_of_coco():
    names = {category['id']: category['name'] for category in categories()}
    assert len(names) == 80
    assert (names[1], names[13], names[90]) == ('person', 'stop sign', 'toothbrush')
    assert (names[28], names[44], names[67]) == ('umbrella', 'bottle', 'dining table')


def test_the_tree_passes_the_data_check(tree):
    data = check_dataset([str(tree)])
    assert not data.findings.of('error')
    assert [len(split.classes) for split in data.splits] == [80, 80]


def test_boxes_and_areas_are_those_of_the_masks(tree):
    path = tree / 'annotations' / 'instances_train2017.json'
    coco = COCO(str(path))
    crowds = [annotation for annotation in coco.anns.values() if annotation['iscrowd']]
    assert crowds
    for annotation in [*crowds, *coco.loadAnns(range(1, 50))]:
        rows, columns = np.nonzero(coco.annToMask(annotation))
        x, y, width, height = annotation['bbox']
        low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
        assert low == pytest.approx((x, y), abs=2)
        assert high == pytest.approx((x + width, y + height), abs=2)
        tolerance = 0 if annotation['iscrowd'] else 3 + 2 * (width + height)
        assert len(rows) == pytest.approx(annotation['area'], abs=tolerance)


def test_sizes_of_objects_have_the_shares_of_coco():
    sizes = np.tile([640, 480], (3000, 1))
    areas = [
        cv2.contourArea(o.astype(np.float32))
        for o in draw_outlines(sizes, np.random.default_rng(0))
    ]
    small, medium = np.mean(np.array(areas) < 32**2), np.mean(np.array(areas) < 96**2)
    assert (small, medium - small) == pytest.approx((0.41, 0.34), abs=0.03)


def test_equal_seeds_produce_equal_data_and_replace_their_own_folder(tree, tmp_path):
    for seed in (1, 0):
        write_coco_shaped(str(tmp_path / 'coco'), train=60, val=50, seed=seed)
        assert (read(tmp_path / 'coco', 'val') == read(tree, 'val')) == (seed == 0)
    assert not list(tmp_path.rglob('.*'))


def test_a_folder_of_another_origin_is_refused_and_kept(tmp_path):
    (tmp_path / 'train2017').mkdir()
    with pytest.raises(DataError, match='was not written by this program'):
        write_coco_shaped(str(tmp_path), train=1, val=1)
    assert [path.name for path in tmp_path.iterdir()] == ['train2017']


@pytest.mark.parametrize('numbers', [(0, 1), (1, 0), (581929, 1)])
def test_impossible_numbers_of_images_are_refused(numbers, tmp_path):
    with pytest.raises(DataError, match='a tree has'):
        write_coco_shaped(str(tmp_path / 'coco'), *numbers)
