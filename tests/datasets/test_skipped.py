"""A run reports at its end what its data sets left out, and evaluates only what has annotations.

A model that learns nothing stands in for a detector: what matters is which images reach it.
"""

import json
import logging
import multiprocessing
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, MODELS
from mmengine.runner import Runner
from pycocotools.coco import COCO
from rotten_data import COUNT, ROTTEN, edit, settings, truncate, write_rotten, write_sound
from tiny_detector import tiny_detector, write_data  # noqa: F401
from tool_process import run_tool

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.datasets import CheckedCocoDataset, SkippedDataHook
from epsanet_mmdet.errors import DataError
from epsanet_mmdet.inference.outputs import ImageIds


@pytest.fixture
def root(tmp_path) -> Path:
    return write_rotten(tmp_path)


@MODELS.register_module()
class Counter(BaseModel):
    """Learn nothing, and collect the images that arrive."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, inputs, data_samples, mode):
        self.seen += [sample.img_path for sample in data_samples]
        return dict(loss=self.weight.sum())


@HOOKS.register_module()
class Rot(Hook):
    """Spoil files as soon as training has begun."""

    def __init__(self, paths):
        self.paths = paths

    def before_train(self, runner):
        for i, path in enumerate(map(Path, self.paths)):
            (truncate if i % 2 else lambda p: p.write_bytes(b''))(path)


def train(root: Path, work_dir: Path, workers: int, rot=(), wrap=lambda d: d, **options) -> Runner:
    dataset = wrap(dict(type='CheckedCocoDataset', **settings(root, **options)))
    hooks = [dict(type='SkippedDataHook'), dict(type='Rot', paths=[str(path) for path in rot])]
    runner = Runner.from_cfg(
        Config(
            dict(
                default_scope='mmdet',
                model=dict(type='Counter'),
                work_dir=str(work_dir),
                experiment_name=f'{work_dir.name}-{time.time_ns()}',  # mmengine keeps loggers by it
                train_dataloader=dict(
                    batch_size=10,
                    num_workers=workers,
                    sampler=dict(type='DefaultSampler', shuffle=False),
                    collate_fn=dict(type='pseudo_collate'),
                    dataset=dataset,
                ),
                train_cfg=dict(by_epoch=True, max_epochs=1),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
                custom_hooks=hooks,
            )
        )
    )
    runner.train()
    return runner


@pytest.mark.parametrize('workers', [0, 2])
def test_the_end_of_a_run_names_all_that_was_left_out(workers, root, tmp_path):
    edit(root, bbox=[1, 2, 3])
    rot = [root / 'images' / '190.jpg', root / 'images' / '199.png']
    runner = train(root, tmp_path / 'work', workers, rot, skip_bad_images=True)
    assert len(runner.model.seen) == COUNT - 4  # another one replaces each
    assert not {str(path) for path in rot} & set(runner.model.seen)
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    report = log[log.rindex('6 images and 1 annotations of') :]
    assert all(name in report for name in (*ROTTEN, '190.jpg', '199.png'))
    assert 'annotation 1 of 000.jpg' in report and 'train.json were left out' in report
    assert '190.jpg: went bad during the run: empty file' in report


WRAPPERS = {
    'RepeatDataset': lambda d: dict(type='RepeatDataset', times=2, dataset=d),
    'ConcatDataset': lambda d: dict(type='ConcatDataset', datasets=[d]),
    'ClassBalancedDataset': lambda d: dict(
        type='ClassBalancedDataset', oversample_thr=1e-3, dataset=d
    ),
    'MultiImageMixDataset': lambda d: dict(type='MultiImageMixDataset', dataset=d, pipeline=[]),
    'a wrapped wrapper': lambda d: dict(
        type='RepeatDataset', times=1, dataset=dict(type='ConcatDataset', datasets=[d])
    ),
}


@pytest.mark.parametrize('name', WRAPPERS)
def test_images_that_go_bad_inside_wrappers_are_replaced_and_reported(name, root, tmp_path):
    rot = [root / 'images' / '190.jpg', root / 'images' / '199.png']
    options = dict(wrap=WRAPPERS[name], skip_bad_images=True)
    runner = train(root, tmp_path / 'work', 2, rot, **options)
    assert not {str(path) for path in rot} & set(runner.model.seen)
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    report = log[log.rindex('6 images and 0 annotations of') :]
    assert (
        '190.jpg: went bad during the run' in report
        and '199.png: went bad during the run' in report
    )


def report_of_a_rank(rank: int, root: Path) -> None:
    """Meet an image that went bad, and write the report of the end into a file."""
    store = f'file://{root / "store"}'
    torch.distributed.init_process_group('gloo', init_method=store, rank=rank, world_size=2)
    dataset = CheckedCocoDataset(**settings(root, skip_bad_images=True))
    (root / 'images' / f'{190 + rank}.{"png" if rank else "jpg"}').write_bytes(b'')
    index = next(i for i in range(len(dataset)) if dataset.get_data_info(i)['img_id'] == 190 + rank)
    assert dataset.prepare_data(index) is None
    logger = logging.Logger('report')
    logger.addHandler(logging.FileHandler(root / f'rank{rank}.log'))
    hook = SkippedDataHook()
    hook.before_train(SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset)))
    hook.after_run(SimpleNamespace(logger=logger))
    torch.distributed.destroy_process_group()


def test_the_report_covers_all_ranks(root):
    context = multiprocessing.get_context('fork')
    ranks = [context.Process(target=report_of_a_rank, args=(rank, root)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    assert [process.exitcode for process in ranks] == [0, 0]
    for rank in (0, 1):
        report = (root / f'rank{rank}.log').read_text()
        assert report.startswith('6 images and 0 annotations of ')
        assert all(name in report for name in (*ROTTEN, '190.jpg', '191.png'))


@pytest.mark.parametrize('workers', [0, 1])
def test_an_image_that_goes_bad_stops_a_run_that_does_not_skip(workers, root, tmp_path):
    write_sound(root)
    with pytest.raises(DataError) as caught:
        train(root, tmp_path / 'work', workers, [root / 'images' / '190.jpg'])
    line = str(caught.value)
    assert re.match(r"image '.*190.jpg' went bad during the run: empty file; replace it", line)
    assert '\n' not in line


@pytest.mark.parametrize(
    'name',
    [
        'mask-rcnn_epsanet50-s_fpn_1x_coco',
        'faster-rcnn_epsanet101-l_fpn_1x_coco',
        'retinanet_ecanet50_fpn_1x_coco',
        'mask-rcnn_epsanet50-s-scratch_fpn_gn-all_6x_coco',
        'mask-rcnn_epsanet50-s_fpn_small-data',
        'mask-rcnn_epsanet50-s-slim_fpn_shapes',
    ],
)
def test_shipped_configs_have_the_report(name):
    hooks = [hook['type'] for hook in load_config(name).default_hooks.values()]
    assert hooks.count('SkippedDataHook') == 1


# By the commands


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
    result = run_tool('test.py', *place, '--cfg-options', *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    truth = COCO(str(tiny_detector.ann_file))
    for kind in ('bbox', 'segm'):
        entries = json.loads((tmp_path / 'submit' / f'mine.{kind}.json').read_text())
        assert {entry['image_id'] for entry in entries} == {10, 20, 30, 40}
        assert {entry['category_id'] for entry in entries} <= {3, 7}
        assert all(0 <= entry['score'] <= 1 and len(entry['bbox']) == 4 for entry in entries)
        assert len(truth.loadRes(entries).anns) == len(entries) > 0  # as the server reads them
    assert all(entry['segmentation']['size'] == [64, 96] for entry in entries)


def test_an_evaluation_without_annotations_stops_with_the_remedy(
    test_dev,
    tiny_detector,  # noqa: F811
    tmp_path,
):
    path, options = test_dev
    place = [tiny_detector.config, tiny_detector.checkpoint, '--work-dir', 'work']
    result = run_tool('test.py', *place, '--cfg-options', *options, cwd=tmp_path)
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    assert last.startswith(f"error: '{path}' has no annotations to evaluate with")
    assert 'format_only=True' in last and 'outfile_prefix=PATH' in last
    assert 'Epoch(test)' not in result.stdout  # it ends before hours of testing


def test_detections_get_the_ids_of_images_without_annotations(test_dev):
    ids = ImageIds(str(test_dev[0]))
    assert ids.category_ids_by_name == dict(disc=3, box=7)
    assert sorted(ids.by_name.values()) == [10, 20, 30, 40]


def test_a_training_still_needs_annotations(test_dev, tiny_detector, tmp_path):  # noqa: F811
    option = f'train_dataloader.dataset.ann_file={test_dev[0]}'
    result = run_tool('train.py', tiny_detector.config, '--cfg-options', option, cwd=tmp_path)
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
    result = run_tool('train.py', wrapped, '--work-dir', 'work', cwd=tmp_path)
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    assert last.startswith('error: 1 of 4 images and 1 annotations of ')
    assert 'repeated/annotations.json' in last and 'picture 2.png' in last


def test_wrapped_data_sets_skip_bad_images_and_report_them_at_the_end(wrapped, tmp_path):
    options = ['--work-dir', 'work', '--cfg-options', 'skip_bad_images=True']
    result = run_tool('train.py', wrapped, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    end = log[log.index('Saving checkpoint') :] if 'Saving checkpoint' in log else log
    for name in NAMES:
        report = f'1 images and 1 annotations of {tmp_path}/{name}/annotations.json were left out'
        assert end.count(report) == 1
        found = end[end.index(report) :].splitlines()
        assert f'{name}/images/picture 2.png: cannot be decoded' in found[1]
        assert 'annotation 1 of picture 1.png: its bbox [1, 2, 3]' in found[2]


def test_a_missing_wrapped_data_set_stops_at_once(wrapped, tmp_path):
    (tmp_path / 'mixed').rename(tmp_path / 'moved')
    result = run_tool('train.py', wrapped, '--work-dir', 'work', cwd=tmp_path)
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and re.search("error: annotation file '.*/mixed/ann", last)
    assert not (tmp_path / 'work').exists()
