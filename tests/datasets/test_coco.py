"""Real COCO images, and what is wrong with a data set, named before any training starts."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.logging import MMLogger
from PIL import Image

from epsanet_mmdet.datasets import CheckedCocoDataset
from epsanet_mmdet.errors import DataError


@pytest.fixture
def root(tmp_path) -> Path:
    """Five pictures of one class, one object each."""
    (tmp_path / 'images').mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(1, 6):
        name = f'{i}.{"png" if i == 5 else "jpg"}'
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(
            tmp_path / 'images' / name
        )
        images.append(dict(id=i, file_name=name, width=60, height=40))
        annotations.append(
            dict(id=i, image_id=i, category_id=3, bbox=[5, 5, 20, 20], area=400, iscrowd=i == 2)
        )
    content = dict(images=images, annotations=annotations, categories=[dict(id=3, name='cat')])
    (tmp_path / 'annotations.json').write_text(json.dumps(content))
    return tmp_path


def build(root: Path, **options) -> CheckedCocoDataset:
    settings = dict(
        type='CheckedCocoDataset',
        data_root=str(root),
        ann_file='annotations.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=('cat',)),
        pipeline=[],
    )
    return DATASETS.build({**settings, **options})


def error(root: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        build(root, **options)
    message = str(caught.value)
    assert '\n' not in message
    return message


def test_loads_what_is_right(root):
    dataset = build(root)
    assert len(dataset) == 5
    instance = dataset.get_data_info(0)['instances'][0]
    assert instance['bbox'] == [5, 5, 25, 25] and instance['bbox_label'] == 0


def test_crowd_annotations_are_kept_as_to_be_ignored(root):
    dataset = build(root)
    flags = [dataset.get_data_info(i)['instances'][0]['ignore_flag'] for i in range(5)]
    assert flags == [0, 1, 0, 0, 0]


@pytest.mark.parametrize('split', ['train', 'val'])
def test_real_coco_passes_whole_with_its_crowds(split, tiny_coco):
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


def test_a_missing_data_root_is_named_with_the_setting(root):
    message = error(root / 'absent')
    assert f"data root '{root / 'absent'}' does not exist" in message
    assert 'data_root=PATH' in message


def test_a_missing_annotation_file_is_named_with_those_there(root):
    message = error(root, ann_file='instances.json')
    assert 'instances.json' in message and 'annotations.json' in message
    assert 'ann_file' in message


def test_a_missing_image_folder_is_named(root):
    message = error(root, data_prefix=dict(img='pictures/'))
    assert 'pictures' in message and 'data_prefix' in message


@pytest.mark.parametrize('content', ['', '{"images": [', 'not json', '<xml/>', '[' * 100000])
def test_what_is_not_json_is_named(content, root):
    (root / 'annotations.json').write_text(content)
    message = error(root)
    assert 'annotations.json' in message and 'is not JSON' in message


def test_bytes_that_are_no_text_are_not_json(root):
    (root / 'annotations.json').write_bytes(b'\xff\xfe\x00\x01')
    assert 'is not JSON' in error(root)


CONTENT = dict(
    images=[dict(id=1, file_name='1.jpg', width=60, height=40)],
    annotations=[dict(id=1, image_id=1, category_id=3, bbox=[1, 1, 9, 9], area=81, iscrowd=0)],
    categories=[dict(id=3, name='cat')],
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
        {**CONTENT, 'images': ['1.jpg']},
        {**CONTENT, 'images': [dict(id=1, width=60, height=40)]},
        {**CONTENT, 'annotations': [dict(id=1, image_id=1)]},
        {**CONTENT, 'annotations': [7]},
    ],
    ids=lambda c: json.dumps(c)[:60],
)
def test_json_that_is_not_coco_is_named(content, root):
    (root / 'annotations.json').write_text(json.dumps(content))
    message = error(root)
    assert 'annotations.json' in message


def test_classes_of_the_config_that_the_file_lacks_are_named(root):
    message = error(root, metainfo=dict(classes=('cat', 'dog')))
    assert 'cat' in message and 'dog' in message and 'metainfo.classes' in message


# Images


def missing(path: Path) -> None:
    path.unlink()


def zero_byte(path: Path) -> None:
    path.write_bytes(b'')


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def not_an_image(path: Path) -> None:
    path.write_text('<html>')


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


FAULTS = [missing, zero_byte, truncated, not_an_image, a_folder]


@pytest.mark.parametrize('fault', FAULTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize('name', ['3.jpg', '5.png'])
def test_a_bad_image_is_named_with_the_choice_to_skip(fault, name, root):
    fault(root / 'images' / name)
    message = error(root)
    assert name in message and '1 of 5 images' in message
    assert 'skip_bad_images=True' in message


@pytest.mark.parametrize('fault', FAULTS, ids=lambda f: f.__name__)
def test_skipping_leaves_bad_images_out_with_a_warning(fault, root):
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    fault(root / 'images' / '3.jpg')
    logger.addHandler(handler)
    try:
        dataset = build(root, skip_bad_images=True)
    finally:
        logger.removeHandler(handler)
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == [1, 2, 4, 5]
    assert len(messages) == 1 and '3.jpg' in messages[0]


def test_a_few_of_many_bad_images_are_named(root):
    for path in (root / 'images').iterdir():
        zero_byte(path)
    message = error(root)
    assert '5 of 5' in message and len(message) < 1000


def test_image_formats_that_are_not_jpeg_or_png_are_decoded_to_check(root):
    content = json.loads((root / 'annotations.json').read_text())
    content['images'][0]['file_name'] = '1.bmp'
    (root / 'annotations.json').write_text(json.dumps(content))
    Image.open(root / 'images' / '1.jpg').save(root / 'images' / '1.bmp')
    assert len(build(root)) == 5
    truncated(root / 'images' / '1.bmp')
    assert '1.bmp' in error(root)


def test_bytes_after_the_end_of_an_image_do_no_harm(root):
    path = root / 'images' / '3.jpg'
    path.write_bytes(path.read_bytes() + b'\0' * 4096)
    assert len(build(root)) == 5


def test_nothing_is_written(root):
    before = sorted(p.name for p in root.rglob('*'))
    (root / 'images' / '3.jpg').write_bytes(b'')
    error(root)
    assert sorted(p.name for p in root.rglob('*')) == before
