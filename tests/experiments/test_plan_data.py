"""A plan runs on a data set in any format, and finds the same annotations whenever it is called."""

import json
import shutil
from pathlib import Path

import pytest
from one_line import error_line
from small_data import CLASSES, write_coco, write_voc, write_yolo
from tiny_plan import write_config, write_plan

from epsanet_mmdet.errors import ConfigError, DataError
from epsanet_mmdet.experiments import prepare_plan
from epsanet_mmdet.experiments.fingerprint import describe_data
from epsanet_mmdet.experiments.plan import Comparison, Data, Plan, Variant
from epsanet_mmdet.experiments.plan_data import convert_data
from epsanet_mmdet.experiments.settings import resolve_variant

BOXES = 'faster-rcnn_resnet50_fpn_small-data'


@pytest.fixture
def written(tmp_path) -> Path:
    return tmp_path / 'work' / 'annotations'


def write_split_voc(root: Path, **splits) -> Path:
    """Write a VOC data set with the numbers of the images of each split."""
    write_voc(root, max(number for numbers in splits.values() for number in numbers))
    lists = root / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    for name, numbers in splits.items():
        (lists / f'{name}.txt').write_text(''.join(f'{number}\n' for number in numbers))
    return root


def names_of(data: Data, role: str) -> set:
    ann_file = Path(data.root) / getattr(data, f'{role}_ann')
    content = json.loads(ann_file.read_text(encoding='utf-8'))
    return {Path(image['file_name']).stem for image in content['images']}


def test_the_splits_of_a_data_set_reach_the_loaders(tmp_path, written):
    root = write_split_voc(tmp_path / 'voc', train=[1, 2, 3], val=[4], test=[5, 6])
    data = convert_data(Data(paths=str(root)), written)
    assert [names_of(data, role) for role in ('train', 'val', 'test')] == [
        *({'1', '2', '3'}, {'4'}, {'5', '6'}),
    ]
    variant = Variant(BOXES)
    config = resolve_variant(Plan([Comparison([variant])], data=data), variant, {})
    described = describe_data(config)
    assert {role: described[role]['images'] for role in described} == dict(train=3, test=2, val=1)
    for role in ('train', 'val', 'test'):
        dataset = config[f'{role}_dataloader'].dataset
        assert Path(dataset.ann_file).name.startswith(f'{role}-')
        assert dataset.metainfo.classes == CLASSES
    assert config.val_evaluator.ann_file == data.val_ann
    assert config.test_evaluator.ann_file == data.test_ann


def test_without_a_test_split_the_val_split_is_tested(tmp_path, written):
    data = convert_data(Data(paths=[str(write_yolo(tmp_path / 'yolo'))]), written)
    assert names_of(data, 'val') == {'6', '7'} and data.test_ann is None
    variant = Variant(BOXES)
    config = resolve_variant(Plan([Comparison([variant])], data=data), variant, {})
    assert config.test_dataloader.dataset.ann_file == data.val_ann
    assert list(describe_data(config)) == ['train', 'test']


def test_a_moved_or_repeated_data_set_has_the_same_annotations(tmp_path, written, monkeypatch):
    root = write_voc(tmp_path / 'one', 10)  # without splits: some images are held out
    shutil.copytree(root, tmp_path / 'two')
    first = convert_data(Data(paths=str(root)), written)
    assert len(names_of(first, 'train')) == 8
    content = {path.name: path.read_bytes() for path in written.iterdir()}
    monkeypatch.chdir(tmp_path)
    for path in ('one', 'two', '../' + tmp_path.name + '/two'):
        convert_data(Data(paths=path), written)
        assert {path.name: path.read_bytes() for path in written.iterdir()} == content


def test_annotations_in_use_are_kept_when_the_data_set_changes(tmp_path, written):
    root = write_split_voc(tmp_path / 'voc', train=[1, 2, 3], val=[4])
    first = convert_data(Data(paths=str(root)), written)
    (root / 'ImageSets' / 'Main' / 'train.txt').write_text('1\n2\n')
    second = convert_data(Data(paths=str(root)), written)
    assert (names_of(first, 'train'), names_of(second, 'train')) == ({'1', '2', '3'}, {'1', '2'})
    assert first.val_ann == second.val_ann


def test_coco_annotations_are_used_where_they_are(tmp_path, written):
    root = write_coco(tmp_path / 'coco', 4, 2)
    assert convert_data(Data(paths=str(root)), written) == Data(
        *(f'{root}/', 'annotations/train.json', 'annotations/val.json'),
        *(None, 'images/', 'images/', None),
        classes=list(CLASSES),
    )
    assert not written.exists()


def test_other_plans_keep_their_data(written):
    data = Data('root', 'train.json', 'val.json')
    assert convert_data(data, written) is data


def test_bad_data_are_refused_in_one_line(tmp_path, written):
    root = write_voc(tmp_path / 'voc')
    (root / 'Annotations' / '2.xml').write_text('nonsense')
    message = error_line(DataError, convert_data, Data(paths=str(root)), written)
    assert '2.xml' in message and f'epsanet check {root}' in message
    message = error_line(DataError, convert_data, Data(paths='absent'), written)
    assert "'absent' does not exist" in message
    (tmp_path / 'empty').mkdir()
    message = error_line(DataError, convert_data, Data(paths=str(tmp_path / 'empty')), written)
    assert 'no annotations in a known format' in message
    assert not written.exists()


def test_names_that_no_config_can_hold_are_refused(tmp_path, written):
    root = write_yolo(tmp_path / 'a {{b')
    assert '{{' in error_line(ConfigError, convert_data, Data(paths=str(root)), written)


def test_a_plan_of_masks_refuses_boxes_before_it_starts(tmp_path):
    rows = [dict(name='masks', config=write_config(tmp_path, 'masks'))]
    polygons = write_yolo(tmp_path / 'polygons', polygons=True)
    boxes = write_yolo(tmp_path / 'boxes')
    plan = write_plan(tmp_path, rows=rows, data=dict(paths=[str(polygons)]))
    prepared = prepare_plan(str(plan), str(tmp_path / 'work'))
    assert prepared.jobs[0].settings['data']['test']['images'] == 2
    message = error_line(
        *(DataError, prepare_plan, str(plan), str(tmp_path / 'work'), {'data.paths': [str(boxes)]})
    )
    assert '12 of 12 objects' in message and '--detector faster-rcnn' in message


@pytest.mark.parametrize(
    'plan', ['small-data', 'psa-ablation', 'transplanted-start', 'transplanted-detector']
)
def test_the_plans_for_small_data_compare_on_boxes_too(plan, tmp_path):
    root = write_split_voc(tmp_path / 'voc', train=[1, 2, 3], val=[4], test=[5])
    changes = {'data.paths': [str(root)], 'detector': 'faster-rcnn'}
    prepared = prepare_plan(plan, str(tmp_path / 'work'), changes)
    assert {config.model.type for config in prepared.configs.values()} == {'FasterRCNN'}
    differing = {note.split(' is ')[0] for notes in prepared.notes for note in notes}
    assert differing == ({'load_from'} if plan == 'transplanted-detector' else set())
    assert prepared.jobs[0].settings['data']['test']['images'] == 1
