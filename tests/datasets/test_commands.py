"""What trainings and tests by the commands do with the data: submissions, and bad images."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from pycocotools.coco import COCO
from tiny_detector import tiny_detector, write_data  # noqa: F401

from epsanet_mmdet.inference.outputs import ImageIds


def run(folder: Path, tool: str, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / 'tools' / tool), *map(str, arguments)],
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        encoding='utf-8',
        timeout=300,
    )


# A submission


@pytest.fixture
def test_dev(tiny_detector, tmp_path):  # noqa: F811
    """Options that test on a file as COCO's image_info_test-dev2017.json."""
    content = json.loads(tiny_detector.ann_file.read_text())
    del content['annotations']
    content['info'] = dict(description='test images', year=2017)
    content['licenses'] = []
    path = tmp_path / 'image_info_test-dev.json'
    path.write_text(json.dumps(content))
    return path, [
        f'test_dataloader.dataset.ann_file={path}',
        f'test_evaluator.ann_file={path}',
    ]


def test_a_submission_of_images_without_annotations(test_dev, tiny_detector, tmp_path):  # noqa: F811
    path, options = test_dev
    options += ['test_evaluator.format_only=True', 'test_evaluator.outfile_prefix=submit/mine']
    place = [tiny_detector.config, tiny_detector.checkpoint, '--work-dir', 'work']
    result = run(tmp_path, 'test.py', *place, '--cfg-options', *options)
    assert result.returncode == 0, result.stderr[-3000:]
    truth = COCO(str(tiny_detector.ann_file))
    for kind in ('bbox', 'segm'):
        entries = json.loads((tmp_path / 'submit' / f'mine.{kind}.json').read_text())
        assert {entry['image_id'] for entry in entries} == {10, 20, 30, 40}
        assert {entry['category_id'] for entry in entries} <= {3, 7}
        assert all(0 <= entry['score'] <= 1 and len(entry['bbox']) == 4 for entry in entries)
        assert len(truth.loadRes(entries).anns) == len(entries) > 0  # as the server reads them
    assert all(entry['segmentation']['size'] == [64, 96] for entry in entries)


def test_an_evaluation_without_annotations_says_what_can_be_done(
    test_dev,
    tiny_detector,  # noqa: F811
    tmp_path,
):
    path, options = test_dev
    place = [tiny_detector.config, tiny_detector.checkpoint, '--work-dir', 'work']
    result = run(tmp_path, 'test.py', *place, '--cfg-options', *options)
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    assert last.startswith(f"error: '{path}' has no annotations to evaluate with")
    assert 'format_only=True' in last and 'outfile_prefix=PATH' in last
    assert 'Epoch(test)' not in result.stdout  # it ends before hours of testing


def test_detections_take_the_ids_of_images_without_annotations(test_dev):
    ids = ImageIds(str(test_dev[0]))
    assert ids.category_ids_by_name == dict(disc=3, box=7)
    assert sorted(ids.by_name.values()) == [10, 20, 30, 40]


def test_a_training_still_needs_annotations(test_dev, tiny_detector, tmp_path):  # noqa: F811
    option = f'train_dataloader.dataset.ann_file={test_dev[0]}'
    result = run(tmp_path, 'train.py', tiny_detector.config, '--cfg-options', option)
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and last.startswith('error: ') and "no list 'annotations'" in last


# Bad images

WRAPPED = """
_base_ = {base!r}
def checked(name, *more):
    return dict(
        type='CheckedCocoDataset',
        data_root={root!r},
        ann_file=name + '/annotations.json',
        data_prefix=dict(img=name + '/images/'),
        metainfo=dict(classes=('disc', 'box')),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            *more,
        ],
    )
pack = dict(type='PackDetInputs')
train_dataloader = dict(
    batch_size=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    batch_sampler=None,
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(type='RepeatDataset', times=2, dataset=checked('repeated', pack)),
            dict(
                type='ClassBalancedDataset', oversample_thr=0.1, dataset=checked('balanced', pack)
            ),
            dict(
                type='MultiImageMixDataset',
                dataset=checked('mixed'),
                pipeline=[dict(type='CopyPaste', max_num_pasted=2), pack],
            ),
            checked('plain', pack),
        ],
    ),
)
train_cfg = dict(max_epochs=1, val_interval=9)
default_hooks = dict(checkpoint=dict(interval=9))
"""
NAMES = ('repeated', 'balanced', 'mixed', 'plain')


@pytest.fixture
def wrapped(tiny_detector, tmp_path):  # noqa: F811
    """A config of wrapped data sets that have a truncated image each, and bad annotations."""
    for name in NAMES:
        write_data(tmp_path / name)
        path = tmp_path / name / 'images' / 'picture 2.png'
        path.write_bytes(path.read_bytes()[:-50])
        ann_file = tmp_path / name / 'annotations.json'
        content = json.loads(ann_file.read_text())
        content['annotations'][0]['bbox'] = [1, 2, 3]
        ann_file.write_text(json.dumps(content))
    config = tmp_path / 'wrapped.py'
    config.write_text(WRAPPED.format(base=tiny_detector.config, root=str(tmp_path)))
    return config


def test_wrapped_data_sets_stop_at_bad_images_in_one_line(wrapped, tmp_path):
    result = run(tmp_path, 'train.py', wrapped, '--work-dir', 'work')
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    assert last.startswith('error: 1 of 4 images and 1 annotations of ')
    assert 'repeated/annotations.json' in last and 'picture 2.png' in last


def test_wrapped_data_sets_go_on_without_bad_images_and_name_them_at_the_end(wrapped, tmp_path):
    options = ['--work-dir', 'work', '--cfg-options', 'skip_bad_images=True']
    result = run(tmp_path, 'train.py', wrapped, *options)
    assert result.returncode == 0, result.stderr[-3000:]
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    end = log[log.index('Saving checkpoint') :] if 'Saving checkpoint' in log else log
    for name in NAMES:
        report = f'1 images and 1 annotations of {tmp_path}/{name}/annotations.json were left out'
        assert end.count(report) == 1
        found = end[end.index(report) :].splitlines()
        assert f'{name}/images/picture 2.png: cannot be decoded' in found[1]
        assert 'annotation 1 of picture 1.png: its bbox [1, 2, 3]' in found[2]


def test_a_wrapped_data_set_that_is_not_there_ends_it_at_once(wrapped, tmp_path):
    (tmp_path / 'mixed').rename(tmp_path / 'moved')
    result = run(tmp_path, 'train.py', wrapped, '--work-dir', 'work')
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and re.search("error: annotation file '.*/mixed/ann", last)
    assert not (tmp_path / 'work').exists()
