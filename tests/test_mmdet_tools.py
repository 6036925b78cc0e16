"""tools/train.py and tools/test.py: bare names, data options, and errors of one line."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from epsanet_mmdet import mmdet_tools
from epsanet_mmdet.configs import configs_dir
from epsanet_mmdet.errors import (
    ArgumentError,
    CheckpointError,
    ConfigError,
    DataError,
    StorageError,
)
from epsanet_mmdet.mmdet_tools import prepare_arguments

TOOLS = Path(mmdet_tools.__file__).parents[1] / 'tools'
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
    monkeypatch.chdir(tmp_path)
    for name in ('weights.pth', 'last.pth'):
        (tmp_path / name).touch()

    def call(tool, *arguments):
        monkeypatch.setattr(sys, 'argv', [tool, *arguments])
        return prepare_arguments(list(arguments), tool)

    return call


def test_a_bare_name_becomes_the_configs_path(prepare):
    assert prepare('train.py', NAME, '--amp') == [PATH, '--amp']
    assert prepare('test.py', NAME, 'weights.pth') == [PATH, 'weights.pth']


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
    assert prepare('train.py', *before, NAME) == [*before, PATH]


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


def test_other_options_are_handed_on_as_they_are(prepare):
    arguments = ['--cfg-options', 'train_cfg.max_epochs=1', 'a.b="[1,2]"', '--auto-scale-lr']
    assert prepare('train.py', NAME, *arguments) == [PATH, *arguments]


def test_an_unknown_config_is_named(prepare):
    with pytest.raises(ConfigError, match='mask-rcnn_epsanet50'):
        prepare('train.py', 'mask-rcnn_epsanet50-x_fpn_1x_coco')


@pytest.mark.parametrize(
    'missing, named',
    [
        ('.', 'data root'),
        ('annotations/instances_train2017.json', 'instances_train2017.json'),
        ('train2017', 'image folder'),
        ('val2017', 'image folder'),
    ],
)
def test_missing_data_ends_it_before_mmdet_starts(missing, named, prepare, coco):
    path = coco / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=named):
        prepare('train.py', NAME)


def test_testing_needs_the_test_data_alone(prepare, coco):
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


def test_a_work_dir_that_cannot_be_made_is_named(prepare, tmp_path):
    (tmp_path / 'runs').touch()
    with pytest.raises(StorageError, match=f"cannot write to '{tmp_path}/runs'.*--work-dir"):
        prepare('train.py', NAME, '--work-dir', 'runs/first')


def test_a_disk_that_is_full_ends_in_one_line():
    def write():
        raise OSError(errno.ENOSPC, 'No space left on device', '/data/runs/a.log')

    with pytest.raises(SystemExit, match="^error: cannot write to '/data/runs': the disk is full"):
        mmdet_tools.exit_on_user_error(write)

    def read():
        raise PermissionError(errno.EACCES, 'Permission denied', '/data/a.jpg')

    with pytest.raises(PermissionError):  # of reading, where the remedy would be wrong
        mmdet_tools.exit_on_user_error(read)


def test_a_plugin_position_that_mmdet_only_asserts_is_named(prepare, tmp_path):
    config = tmp_path / 'mine.py'
    plugin = "dict(cfg=dict(type='SELayer2d'), position='after_conv4')"
    config.write_text(f"_base_ = '{PATH}'\nmodel = dict(backbone=dict(plugins=[{plugin}]))\n")
    with pytest.raises(ArgumentError, match="no plugin position='after_conv4'"):
        prepare('train.py', str(config))


# As a process


def run(tool: str, *arguments, cwd: Path, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(TOOLS / tool), *arguments],
        cwd=cwd,
        env={**os.environ, 'PYTHONPATH': str(TOOLS.parent), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


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


def test_help_is_mmdets(tmp_path):
    result = run('train.py', '--help', cwd=tmp_path)
    assert result.returncode == 0 and '--auto-scale-lr' in result.stdout


def test_without_a_config_the_usage_is_shown(prepare, capsys):
    with pytest.raises(SystemExit) as caught:
        prepare('train.py', '--amp')
    assert caught.value.code == 2 and 'usage' in capsys.readouterr().err
