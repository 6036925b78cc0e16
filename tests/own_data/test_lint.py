"""The check reports every fault of COCO data with file and id, and a repaired copy has none."""

import pytest
from broken_coco import COMBINATIONS, FAULTS
from mmdet.registry import DATASETS
from small_data import CLASSES, coco_content, write_json

from epsanet_mmdet.own_data.check import summary
from epsanet_mmdet.own_data.lint import check_dataset
from epsanet_mmdet.own_data.page import write_page
from epsanet_mmdet.own_data.repair import write_repaired


def broken(root, names):
    content = coco_content(root / 'images', 6)
    for name in names:
        FAULTS[name].damage(content, root)
    write_json(root / 'annotations' / 'train.json', content)
    return root / 'annotations' / 'train.json'


def check_reported(data, ann_file, names):
    for name in names:
        fault = FAULTS[name]
        found = data.findings.of(fault.level).get(fault.code, [])
        assert [f for f in found if f.file == str(ann_file) and fault.entry in f.entry], name
    printed = summary(data, 0)
    assert all(FAULTS[name].code in printed for name in names)


def check_repaired(data, folder):
    folder = folder / 'with a blank'
    write_repaired(data, str(folder))
    again = check_dataset([str(folder)])
    assert not again.findings.of('error')
    with open(folder / 'train.json', encoding='utf-8') as file:
        assert '_place' not in file.read()
    if again.splits[0].classes == list(CLASSES):
        dataset = DATASETS.build(
            dict(
                type='CheckedCocoDataset',
                data_root=str(folder),
                ann_file='train.json',
                data_prefix=dict(img='images/'),
                metainfo=dict(classes=CLASSES),
                pipeline=[
                    dict(type='mmdet.LoadImageFromFile'),
                    dict(
                        type='mmdet.LoadAnnotations',
                        with_bbox=True,
                        with_mask='mixed-masks' not in again.findings.of('warning'),
                    ),
                ],
            )
        )
        for i in range(len(dataset)):
            sample = dataset[i]
            assert sample['img_shape'] == (sample['height'], sample['width'])


@pytest.mark.parametrize('name', FAULTS)
def test_a_fault_is_reported_and_repaired(name, tmp_path):
    ann_file = broken(tmp_path / 'dätä', [name])
    before = ann_file.read_bytes()
    data = check_dataset([str(tmp_path / 'dätä')])
    check_reported(data, ann_file, [name])
    write_page(data, str(tmp_path / 'page.html'))
    errors = set(data.findings.of('error'))
    assert errors == ({FAULTS[name].code} if FAULTS[name].level == 'error' else set()) or name in (
        'annotations missing',  # then there is no object either
        'categories no list',
        'image id missing',  # its annotations are of no image
        'image is no table',
        'name is missing',
        'name is a number',
        'image id twice',
        'box reversed and empty',
        'image of another shape',  # boxes of the old one lie outside
    )
    if data.splits[0].annotations:
        check_repaired(data, tmp_path / 'fixed')
    assert ann_file.read_bytes() == before


@pytest.mark.parametrize('names', COMBINATIONS.values(), ids=COMBINATIONS)
def test_faults_together_are_reported_and_repaired(names, tmp_path):
    ann_file = broken(tmp_path / 'data', names)
    data = check_dataset([str(ann_file)])
    check_reported(data, ann_file, [n for n in names if 'twice' not in n])
    check_repaired(data, tmp_path / 'fixed')


def test_a_sound_data_set_has_no_errors(tmp_path):
    data = check_dataset([str(broken(tmp_path, []))])
    assert set(data.findings.of('warning')) == {'rare-class'}
    assert not data.findings.of('error')


@pytest.mark.parametrize(
    'content, code',
    [
        (b'', 'not-json'),
        (b'{"images": [', 'not-json'),
        (b'\xff\xfe\x00{', 'not-json'),
        (b'[' * 100000, 'not-json'),
        (b'[1, 2]', 'not-coco'),
        (b'{"images": {}, "annotations": 3}', 'not-coco'),
        (b'null', 'not-coco'),
    ],
)
def test_a_file_that_is_not_coco_is_an_error(content, code, tmp_path):
    path = tmp_path / 'train.json'
    path.write_bytes(content)
    data = check_dataset([str(path)])
    assert [f.file for f in data.findings.of('error')[code]][0] == str(path)


def test_a_byte_order_mark_is_removed(tmp_path):
    path = broken(tmp_path, [])
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    data = check_dataset([str(path)])
    assert list(data.findings.of('error')) == ['byte-order-mark']
    check_repaired(data, tmp_path / 'fixed')
