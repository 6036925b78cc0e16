"""A checked data set loads what is sound, and names any fault before a training starts."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from coco_shaped import write_coco_shaped
from mmdet.evaluation import CocoMetric
from mmdet.registry import DATASETS
from one_line import error_line
from PIL import Image
from rotten_data import (
    COUNT,
    ROTTEN,
    edit,
    edited,
    logged,
    settings,
    truncate,
    write_rotten,
    write_sound,
)

from epsanet_mmdet.datasets import CheckedCocoDataset
from epsanet_mmdet.errors import DataError


@pytest.fixture
def root(tmp_path) -> Path:
    """Five sound images; those of odd number are PNG files."""
    return write_sound(tmp_path, 5)


@pytest.fixture
def rotten(tmp_path) -> Path:
    return write_rotten(tmp_path)


def build(root: Path, **options) -> CheckedCocoDataset:
    return DATASETS.build(dict(type='CheckedCocoDataset', **{**settings(root), **options}))


def error(root: Path, **options) -> str:
    return error_line(DataError, build, root, **options)


def test_sound_data_load_as_they_are(root):
    dataset = build(root)
    assert len(dataset) == 5
    instance = dataset.get_data_info(0)['instances'][0]
    assert instance['bbox'] == [2, 2, 20, 18] and instance['bbox_label'] == 0


def test_what_stays_in_memory_does_not_keep_that_of_the_annotations(tmp_path):
    write_coco_shaped(str(tmp_path / 'coco'), train=30, val=1)
    dataset = DATASETS.build(
        dict(
            type='CheckedCocoDataset',
            ann_file=str(tmp_path / 'coco/annotations/instances_train2017.json'),
            data_prefix=dict(img=str(tmp_path / 'coco/train2017/')),
            pipeline=[],
        )
    )
    numbers = [number for images in dataset.cat_img_map.values() for number in images]
    assert len(numbers) > 200  # one for every object
    assert len(set(map(id, numbers))) == len(set(numbers))  # those of the images


def test_crowd_annotations_are_kept_to_be_ignored(root):
    edit(root, iscrowd=1)
    dataset = build(root)
    flags = [i['ignore_flag'] for k in range(5) for i in dataset.get_data_info(k)['instances']]
    assert flags == [1] + [0] * 9


@pytest.mark.parametrize('split', ['train', 'val'])
def test_real_coco_loads_whole_with_its_crowds(split, tiny_coco):
    dataset = CheckedCocoDataset(
        data_root=str(tiny_coco),
        ann_file=f'annotations/instances_{split}2017.json',
        data_prefix=dict(img=f'{split}2017/'),
        pipeline=[],
        test_mode=True,
    )
    content = json.loads((tiny_coco / f'annotations/instances_{split}2017.json').read_text())
    assert len(dataset) == len(content['images']) == 50
    crowds = sum(annotation['iscrowd'] for annotation in content['annotations'])
    loaded = [i['ignore_flag'] for k in range(50) for i in dataset.get_data_info(k)['instances']]
    assert crowds > 0 and sum(loaded) == crowds


# Paths and the annotation file


def test_a_missing_data_root_is_named_with_the_setting(root):
    message = error(root / 'absent')
    assert f"data root '{root / 'absent'}' does not exist" in message
    assert 'data_root=PATH' in message


def test_a_missing_annotation_file_is_named_with_those_there(root):
    message = error(root, ann_file='instances.json')
    assert 'instances.json' in message and 'train.json' in message
    assert 'ann_file' in message


def test_a_missing_image_folder_is_named(root):
    message = error(root, data_prefix=dict(img='pictures/'))
    assert 'pictures' in message and 'data_prefix' in message


@pytest.mark.parametrize(
    'content', [b'', b'{"images": [', b'not json', b'<xml/>', b'[' * 100000, b'\xff\xfe\x00\x01']
)
def test_a_file_that_is_not_json_is_named(content, root):
    (root / 'train.json').write_bytes(content)
    message = error(root)
    assert 'train.json' in message and 'is not JSON' in message


CONTENT = dict(
    images=[dict(id=1, file_name='001.png', width=32, height=24)],
    annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0)],
    categories=[dict(id=1, name='cat')],
)


@pytest.mark.parametrize(
    'content',
    [
        [],
        {},
        'text',
        None,
        {**CONTENT, 'images': {}},
        {k: v for k, v in CONTENT.items() if k != 'annotations'},
        {k: v for k, v in CONTENT.items() if k != 'categories'},
        {**CONTENT, 'categories': ['cat']},
        {**CONTENT, 'images': ['001.png']},
        {**CONTENT, 'images': [dict(id=1, width=32, height=24)]},
        {**CONTENT, 'annotations': [dict(id=1, image_id=1)]},
        {**CONTENT, 'annotations': [7]},
    ],
    ids=lambda c: json.dumps(c)[:60],
)
def test_json_that_is_not_coco_is_named(content, root):
    (root / 'train.json').write_text(json.dumps(content))
    assert 'train.json' in error(root)


def test_classes_of_the_config_that_the_file_lacks_are_named(root):
    message = error(root, metainfo=dict(classes=('cat', 'dog')))
    assert 'cat' in message and 'dog' in message and 'metainfo.classes' in message


def test_data_without_a_usable_image_are_an_error(root):
    truncate(root / 'images' / '000.jpg')
    with edited(root) as content:
        content.update(images=content['images'][:1], annotations=[])
    message = error(root, skip_bad_images=True, filter_cfg=dict(min_size=1))
    assert 'no usable image with objects' in message


# Images


def missing(path: Path) -> None:
    path.unlink()


def zero_byte(path: Path) -> None:
    path.write_bytes(b'')


def not_an_image(path: Path) -> None:
    path.write_text('<html>')


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


FAULTS = [missing, zero_byte, truncate, not_an_image, a_folder, a_pipe]


@pytest.mark.parametrize('fault', FAULTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize('name', ['002.jpg', '003.png'])
def test_a_bad_image_is_named_with_the_choice_to_skip(fault, name, root):
    fault(root / 'images' / name)
    message = error(root)
    assert name in message and '1 of 5 images' in message
    assert 'skip_bad_images=True' in message


@pytest.mark.parametrize('fault', FAULTS, ids=lambda f: f.__name__)
def test_skipping_leaves_bad_images_out_with_a_warning(fault, root):
    fault(root / 'images' / '002.jpg')
    with logged() as messages:
        dataset = build(root, skip_bad_images=True)
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == [0, 1, 3, 4]
    assert len(messages) == 1 and '002.jpg' in messages[0]


def test_a_few_of_many_bad_images_are_named(root):
    for path in (root / 'images').iterdir():
        zero_byte(path)
    message = error(root)
    assert '5 of 5' in message and len(message) < 1000


def test_bad_images_and_annotations_stop_with_one_list(rotten):
    edit(rotten, bbox=[1, 2, float('nan'), 4])
    message = error(rotten)
    assert '4 of 200 images and 1 annotations' in message
    for name in (*ROTTEN, 'annotation 1 of 000.jpg'):
        assert name in message
    assert 'skip_bad_images=True' in message and 'epsanet check' in message


def test_what_is_skipped_is_listed_in_an_attribute(rotten):
    edit(rotten, bbox=[1, 2, 'x', 4])
    dataset = build(rotten, skip_bad_images=True)
    assert len(dataset) == COUNT - 4
    assert len(dataset.get_data_info(0)['instances']) == 1
    assert {Path(path).name for path in dataset.skipped.images} == ROTTEN
    assert list(dataset.skipped.annotations) == ['annotation 1 of 000.jpg']


def test_formats_that_are_neither_jpeg_nor_png_are_decoded(root):
    with edited(root) as content:
        content['images'][0]['file_name'] = '000.bmp'
    Image.open(root / 'images' / '000.jpg').save(root / 'images' / '000.bmp')
    assert len(build(root)) == 5
    truncate(root / 'images' / '000.bmp')
    assert '000.bmp' in error(root)


def test_bytes_after_the_end_of_an_image_are_harmless(root):
    path = root / 'images' / '002.jpg'
    path.write_bytes(path.read_bytes() + b'\0' * 4096)
    assert len(build(root)) == 5


def test_nothing_is_written(root):
    before = sorted(p.name for p in root.rglob('*'))
    zero_byte(root / 'images' / '002.jpg')
    error(root)
    assert sorted(p.name for p in root.rglob('*')) == before


def test_an_evaluation_counts_objects_on_skipped_images_as_false_negatives(rotten):
    with logged() as messages:
        dataset = build(rotten, skip_bad_images=True, test_mode=True)
    assert any('still counts the objects on these images as false negatives' in m for m in messages)
    metric = CocoMetric(ann_file=str(rotten / 'train.json'), metric='bbox', metric_items=['AR@100'])
    metric.dataset_meta = dataset.metainfo
    box, twice = [2.0, 2.0, 20.0, 18.0], 2
    perfect = dict(
        bboxes=torch.tensor([box] * twice),
        scores=torch.ones(twice),
        labels=torch.zeros(twice, dtype=torch.long),
    )
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        sample = dict(img_id=info['img_id'], ori_shape=(24, 32), pred_instances=perfect)
        metric.process({}, [sample])
    recall = metric.evaluate(len(dataset))['coco/bbox_AR@100']
    assert recall == pytest.approx((COUNT - 4) / COUNT, abs=1e-3)


def test_an_evaluation_stops_at_an_image_that_goes_bad(root):
    dataset = build(root, skip_bad_images=True, test_mode=True)
    zero_byte(root / 'images' / '003.png')
    with pytest.raises(DataError, match='003.png'):
        dataset[3]


def test_other_errors_of_the_pipeline_are_left_as_they_are(root):
    dataset = build(root, pipeline=[dict(type='mmdet.Resize', scale=(9, 9))])  # nothing was loaded
    with pytest.raises(KeyError, match='scale_factor'):
        dataset[0]


# File names


@pytest.fixture
def opened():
    """Collect the names of the files that Python opens."""
    names, watching = [], [True]

    def watch(event, arguments):
        if watching and event == 'open' and isinstance(arguments[0], (str, bytes, os.PathLike)):
            names.append(os.fsdecode(arguments[0]))

    sys.addaudithook(watch)  # for good: hooks cannot be removed
    yield names
    watching.clear()


NAMES = ['../../etc/passwd', '/etc/passwd', 'a/../../../x.png', '../../images.png', 'x\0y.png']


@pytest.mark.parametrize('name', NAMES)
def test_names_cannot_leave_the_data(name, root, opened):
    with edited(root) as content:
        content['images'][0]['file_name'] = name
        content.update(images=content['images'][:2], annotations=content['annotations'][:4])
    with pytest.raises(DataError, match="its name leaves the data's folder"):
        build(root)
    assert len(build(root, skip_bad_images=True)) == 1
    pictures = [path for path in opened if not path.endswith(('.json', '.py', '.pyc'))]
    assert str(root / 'images' / '001.png') in pictures
    assert all(path.startswith(str(root)) and '..' not in path for path in pictures)


def test_names_and_links_inside_the_data_load(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    (root / 'images' / '000.jpg').rename(elsewhere / 'a.jpg')
    (root / 'images' / '000.jpg').symlink_to(elsewhere / 'a.jpg')
    (root / 'images' / '001.png').rename(root / 'other.png')
    with edited(root) as content:  # beside the image folder, but within the root
        content['images'][1]['file_name'] = '../other.png'
    link = elsewhere / 'link'
    link.symlink_to(root, target_is_directory=True)
    dataset = build(link)
    assert len(dataset) == 5 and dataset[0] and dataset[1]
