"""tools/train.py and tools/test.py take bare names and data options, and fail in one line."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tool_process import run_tool

from epsanet_mmdet.config.load import configs_dir
from epsanet_mmdet.datasets.shapes import write_shapes
from epsanet_mmdet.engine import mmdet_tools
from epsanet_mmdet.engine.mmdet_tools import prepare_arguments
from epsanet_mmdet.errors import (
    ArgumentError,
    CheckpointError,
    ConfigError,
    DataError,
    StorageError,
)

ADDED = ['--cfg-options', 'runner_type=BriefRunner']
NAME = 'mask-rcnn_epsanet50-s_fpn_1x_coco'
PATH = str(configs_dir() / 'epsanet' / f'{NAME}.py')


@pytest.fixture
def coco(tmp_path) -> Path:
    """A data root that has the files that the configs look for, with nothing in them."""
    root = tmp_path / 'coco'
    (root / 'annotations').mkdir(parents=True)
    for split in ('train2017', 'val2017'):
        (root / split).mkdir()
        (root / 'annotations' / f'instances_{split}.json').write_text('{}')
    return root


@pytest.fixture
def prepare(monkeypatch, coco, tmp_path):
    monkeypatch.setenv('DATA_ROOT', str(coco))
    monkeypatch.setattr(mmdet_tools, 'get_device', lambda: 'cuda')
    monkeypatch.chdir(tmp_path)
    for name in ('weights.pth', 'last.pth'):
        (tmp_path / name).touch()

    def call(tool, *arguments):
        monkeypatch.setattr(sys, 'argv', [tool, *arguments])
        return prepare_arguments(list(arguments), tool)

    return call


def test_a_bare_name_becomes_the_configs_path(prepare):
    assert prepare('train.py', NAME, '--amp') == [PATH, '--amp', *ADDED]
    assert prepare('test.py', NAME, 'weights.pth') == [PATH, 'weights.pth', *ADDED]


@pytest.mark.parametrize(
    'before',
    [
        ['--work-dir', 'runs'],
        ['--launcher', 'none', '--amp'],
        ['--resume', 'last.pth'],
        ['--local-rank', '0'],
    ],
    ids=' '.join,
)
def test_options_may_come_before_the_config(before, prepare):
    assert prepare('train.py', *before, NAME) == [*before, PATH, *ADDED]


@pytest.mark.parametrize('words', [['a'], ['log_level=INFO', 'a'], ['model.x=[1', '2]']])
@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_a_word_that_is_no_option_is_named(tool, words, prepare):
    checkpoint = ['w.pth'] if tool == 'test.py' else []
    with pytest.raises(ConfigError, match=re.escape(f"option '{words[-1]}' is not KEY=VALUE")):
        prepare(tool, NAME, *checkpoint, '--cfg-options', *words)


def test_a_folder_may_have_the_name_of_the_config(prepare):
    assert prepare('train.py', '--work-dir', NAME, NAME) == ['--work-dir', NAME, PATH, *ADDED]
    assert prepare('train.py', NAME, '--work-dir', NAME) == [PATH, '--work-dir', NAME, *ADDED]


@pytest.mark.parametrize(
    'form', [['--cfg-options', 'data_root={}'], ['--cfg-options=data_root={}']]
)
def test_data_root_reaches_mmdets_own_tool(form, prepare, coco):
    root = coco.parent / 'moved'
    shutil.copytree(coco, root)
    arguments = prepare('train.py', NAME, *(part.format(root) for part in form))
    assert arguments[0] == PATH
    assert f'train_dataloader.dataset.data_root={root}/' in arguments
    assert f'val_evaluator.ann_file={root}/annotations/instances_val2017.json' in arguments


def test_other_options_are_passed_on_unchanged(prepare):
    arguments = ['--cfg-options', 'train_cfg.max_epochs=1', 'val_evaluator.iou_thrs="[0.5,1]"']
    assert prepare('train.py', NAME, *arguments) == [PATH, *ADDED, *arguments]


@pytest.mark.parametrize(
    'missing, named',
    [
        ('.', 'data root'),
        ('annotations/instances_train2017.json', 'instances_train2017.json'),
        ('train2017', 'image folder'),
        ('val2017', 'image folder'),
    ],
)
def test_missing_data_are_refused_before_mmdet_starts(missing, named, prepare, coco):
    path = coco / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=named):
        prepare('train.py', NAME)


def test_data_in_another_storage_are_left_to_mmengine(prepare):
    arguments = prepare('train.py', NAME, '--cfg-options', 'data_root=s3://bucket/coco')
    assert 'train_dataloader.dataset.data_root=s3://bucket/coco/' in arguments


def test_testing_needs_only_the_test_data(prepare, coco):
    shutil.rmtree(coco / 'train2017')
    prepare('test.py', NAME, 'weights.pth')


@pytest.mark.parametrize(
    ('tool', 'arguments'),
    [
        ('test.py', [NAME, 'absent.pth']),
        ('train.py', [NAME, '--resume', 'absent.pth']),
        ('train.py', [NAME, '--cfg-options', 'load_from=absent.pth']),
    ],
    ids=' '.join,
)
def test_a_checkpoint_that_does_not_exist_is_named(tool, arguments, prepare):
    with pytest.raises(CheckpointError, match="checkpoint 'absent.pth' does not exist"):
        prepare(tool, *arguments)


def test_weights_of_torchvision_without_torchvision_are_named(prepare, monkeypatch):
    monkeypatch.setattr(mmdet_tools, 'find_spec', lambda name: None)
    name = 'mask-rcnn_resnet50_fpn_1x_coco'
    with pytest.raises(ConfigError, match='torchvision://resnet50.* need torchvision') as caught:
        prepare('train.py', name)
    assert '\n' not in str(caught.value)
    prepare('test.py', name, 'weights.pth')
    option = 'model.backbone.init_cfg.checkpoint=weights.pth'
    prepare('train.py', name, '--cfg-options', option)


@pytest.mark.parametrize(
    'arguments',
    [[NAME, '--amp'], [NAME, '--cfg-options', 'optim_wrapper.type=AmpOptimWrapper']],
    ids=' '.join,
)
def test_mixed_precision_without_a_gpu_is_refused(arguments, prepare, monkeypatch):
    monkeypatch.setattr(mmdet_tools, 'get_device', lambda: 'cpu')
    with pytest.raises(ConfigError, match='needs a GPU.*omit --amp, or set .*=OptimWrapper'):
        prepare('train.py', *arguments)
    prepare('test.py', NAME, 'weights.pth')


def test_a_work_dir_that_cannot_be_made_is_named(prepare, tmp_path):
    (tmp_path / 'runs').touch()
    with pytest.raises(StorageError, match="cannot write to 'runs/first'.*--work-dir"):
        prepare('train.py', NAME, '--work-dir', 'runs/first')


def test_a_plugin_position_that_mmdet_only_asserts_is_named(prepare, tmp_path):
    config = tmp_path / 'mine.py'
    plugin = "dict(cfg=dict(type='SELayer2d'), position='after_conv4')"
    config.write_text(f"_base_ = '{PATH}'\nmodel = dict(backbone=dict(plugins=[{plugin}]))\n")
    with pytest.raises(ArgumentError, match="no plugin position='after_conv4'"):
        prepare('train.py', str(config))


def test_implied_options_are_passed_to_mmdets_tool(prepare):
    arguments = prepare('train.py', NAME, '--cfg-options', 'train_dataloader.num_workers=0')
    assert 'train_dataloader.persistent_workers=False' in arguments
    assert not [a for a in arguments if a.startswith('val_dataloader')]


def test_another_runner_is_kept(prepare):
    option = 'runner_type=Runner'
    assert prepare('train.py', NAME, '--cfg-options', option) == [PATH, '--cfg-options', option]


def test_augmented_tests_of_masks_are_refused_and_of_boxes_are_not(prepare):
    with pytest.raises(ConfigError, match='--tta merges only boxes'):
        prepare('test.py', NAME, 'weights.pth', '--tta')
    prepare('test.py', NAME.replace('mask', 'faster'), 'weights.pth', '--tta')
    boxes = ['model.roi_head.mask_head=None', 'test_evaluator.metric=bbox']
    prepare('test.py', NAME, 'weights.pth', '--tta', '--cfg-options', *boxes)


def test_a_folder_whose_name_mmengine_would_read_as_a_variable_is_refused(prepare):
    with pytest.raises(ConfigError, match="'--work-dir' has the name"):
        prepare('train.py', NAME, '--work-dir', '{{$X:y')


# As a process


def run(tool: str, *arguments, cwd: Path, **environment) -> subprocess.CompletedProcess:
    return run_tool(tool, *arguments, cwd=cwd, environment={**os.environ, **environment})


def assert_one_line(result: subprocess.CompletedProcess, *named: str) -> None:
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1, result.stderr
    assert 'Traceback' not in result.stderr, result.stderr
    assert last.startswith('error: ')
    for part in named:
        assert part in last


def test_an_absent_data_root_ends_in_one_line_and_writes_nothing(tmp_path):
    result = run('train.py', NAME, cwd=tmp_path, DATA_ROOT='nowhere')
    assert_one_line(result, "data root 'nowhere/' does not exist", 'data_root=PATH')
    assert not list(tmp_path.iterdir())


def test_a_misspelt_config_ends_in_one_line(tmp_path):
    assert_one_line(run('test.py', 'mask-rcnn_epsanet', 'x.pth', cwd=tmp_path), NAME)


def test_an_annotation_file_that_is_not_coco_ends_in_one_line(coco, tmp_path):
    result = run(
        'train.py', NAME, '--work-dir', str(tmp_path / 'w'), cwd=tmp_path, DATA_ROOT=str(coco)
    )
    assert_one_line(result, 'instances_train2017.json', 'not COCO')


def test_a_checkpoint_of_another_model_ends_in_one_line(tiny_coco, tmp_path):
    torch.save(dict(state_dict={'backbone.x': torch.ones(1)}, meta={}), tmp_path / 'other.pth')
    result = run('test.py', NAME, 'other.pth', cwd=tmp_path, DATA_ROOT=str(tiny_coco))
    assert_one_line(result, '0 of its 1 tensors match')


def test_a_misspelt_option_ends_in_one_line(coco, tmp_path):
    options = ['--cfg-options', 'model.backbone.dephth=50']
    result = run('train.py', NAME, *options, cwd=tmp_path, DATA_ROOT=str(coco))
    assert_one_line(result, 'model.backbone.dephth', "did you mean 'depth'?")


@pytest.fixture(scope='module')
def shapes(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('shapes')
    write_shapes(str(root), 8, 2, 96)
    return root


SHAPES = 'mask-rcnn_epsanet50-s-slim_fpn_shapes'
QUICK = ['--cfg-options', 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=4']
NO_WORKERS = ['train_dataloader.num_workers=0', 'val_dataloader.num_workers=0']


def test_training_shows_a_summary_and_logs_the_rest(shapes, tmp_path):
    result = run('train.py', SHAPES, *QUICK, *NO_WORKERS, cwd=tmp_path, DATA_ROOT=str(shapes))
    assert result.returncode == 0, result.stderr
    shown = result.stdout.partition('Epoch(train)')[0]
    assert len(shown.splitlines()) < 40
    for part in ('MaskRCNN with EPSANet', 'annotations/train.json', 'max_epochs=1', 'work_dirs'):
        assert part in shown
    (log,) = (tmp_path / 'work_dirs').glob('*/*/*.log')
    for part in ('System environment', 'Config:', 'Hooks will be executed', 'paramwise_options'):
        assert part in log.read_text() and part not in result.stdout
    (dumped,) = (tmp_path / 'work_dirs').glob('*/*.py')
    assert 'runner_type' not in dumped.read_text()


@pytest.mark.parametrize('content', [b'PK', dict(meta=7, state_dict={})], ids=repr)
def test_resuming_from_an_odd_file_ends_in_one_line_that_names_it(content, shapes, tmp_path):
    path = tmp_path / 'odd.pth'
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    arguments = [SHAPES, '--resume', 'odd.pth', *QUICK]
    result = run('train.py', *arguments, cwd=tmp_path, DATA_ROOT=str(shapes))
    assert_one_line(result, 'odd.pth')


def test_the_traceback_of_an_unknown_error_is_in_the_log(shapes, tmp_path):
    config = tmp_path / 'mine.py'
    base = configs_dir() / 'shapes' / f'{SHAPES}.py'
    config.write_text(f"_base_ = '{base}'\nmodel = dict(rpn_head=dict(in_channels=3))\n")
    arguments = [str(config), *QUICK]
    result = run('train.py', *arguments, cwd=tmp_path, DATA_ROOT=str(shapes))
    assert_one_line(result, 'training failed: RuntimeError: ', '--debug')
    (log,) = (tmp_path / 'work_dirs').glob('*/*/*.log')
    assert 'Traceback (most recent call last)' in log.read_text()
    result = run('train.py', *arguments, '--debug', cwd=tmp_path, DATA_ROOT=str(shapes))
    assert 'Traceback' in result.stderr and 'RuntimeError' in result.stderr


def test_without_a_config_the_usage_is_shown(prepare, capsys):
    with pytest.raises(SystemExit) as caught:
        prepare('train.py', '--amp')
    assert caught.value.code == 2 and 'usage' in capsys.readouterr().err
