"""Data whose classes differ from those of the config stop, with both lists in the message."""

import pytest
from small_data import CLASSES, coco_content, write_json

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.datasets import CheckedCocoDataset
from epsanet_mmdet.datasets.checks import read_annotations
from epsanet_mmdet.engine.mmdet_tools import check_data
from epsanet_mmdet.errors import ConfigError, DataError

MODELS = ('mask-rcnn', 'faster-rcnn', 'retinanet')


@pytest.fixture
def ann_file(tmp_path):
    path = tmp_path / 'train.json'
    write_json(path, coco_content(tmp_path, 3))
    return path


def dataset(ann_file, classes, **options):
    return CheckedCocoDataset(
        data_root=str(ann_file.parent),
        ann_file=ann_file.name,
        data_prefix=dict(img=''),
        metainfo=dict(classes=classes),
        **options,
    )


def test_equal_classes_load(ann_file):
    assert len(dataset(ann_file, CLASSES)) == 3


@pytest.mark.parametrize(
    'classes',
    [('cube', CLASSES[1]), (*CLASSES, 'cube'), CLASSES[:1], CLASSES[::-1], (CLASSES[0],) * 2],
    ids=['another', 'one more', 'one less', 'order', 'twice'],
)
def test_other_classes_stop_with_both_lists(classes, ann_file):
    with pytest.raises(DataError) as error:
        dataset(ann_file, classes)
    assert '\n' not in str(error.value)
    for name in (*classes, *CLASSES):
        assert name in str(error.value)


def test_a_subset_must_be_asked_for(ann_file):
    with pytest.raises(DataError, match='class_subset=True'):
        dataset(ann_file, CLASSES[1:])
    data = dataset(ann_file, CLASSES[1:], class_subset=True)
    assert {i['bbox_label'] for info in data for i in info['instances']} == {0}
    with pytest.raises(DataError, match='order'):
        dataset(ann_file, CLASSES[::-1], class_subset=True)


def test_the_classes_of_coco_are_not_assumed(ann_file):
    with pytest.raises(DataError, match='80 .person'):
        CheckedCocoDataset(
            data_root=str(ann_file.parent), ann_file=ann_file.name, data_prefix=dict(img='')
        )


def test_classes_written_as_a_single_string_are_an_error(ann_file):
    with pytest.raises(DataError, match='tuple'):
        read_annotations(str(ann_file), 'ball')


def test_a_byte_order_mark_stops(ann_file):
    ann_file.write_bytes(b'\xef\xbb\xbf' + ann_file.read_bytes())
    with pytest.raises(DataError, match='byte order mark'):
        dataset(ann_file, CLASSES)


@pytest.mark.parametrize('model', MODELS)
def test_heads_of_another_number_of_classes_stop_before_training(model, ann_file):
    config = load_config(f'{model}_epsanet50-s_fpn_1x_coco')
    config.train_dataloader.dataset.update(
        data_root=str(ann_file.parent), ann_file=ann_file.name, data_prefix=dict(img='')
    )
    check_data(config, ['train_dataloader'])
    config.train_dataloader.dataset.metainfo = dict(classes=CLASSES)
    with pytest.raises(
        ConfigError, match=f'num_classes is 80, but the data set has 2.*{CLASSES[1]}'
    ):
        check_data(config, ['train_dataloader'])


@pytest.mark.parametrize('model', MODELS)
def test_shipped_configs_stop_in_the_tools_of_mmdet_too(model):
    hooks = load_config(f'{model}_epsanet50-s_fpn_1x_coco').default_hooks
    assert 'NumClassCheckHook' in [hook['type'] for hook in hooks.values()]
