"""Configs of mmdet are found by path, and else as mmengine finds them."""

from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config
from mmengine.config import config as mmengine_config

from epsanet_mmdet.config.bases import quick_bases
from epsanet_mmdet.config.load import configs_dir, read_config

SHIPPED = sorted(path for path in configs_dir().rglob('*.py') if 'mmdet::' in path.read_text())


def config_of(base: str, folder: Path) -> str:
    path = folder / 'mine.py'
    path.write_text(f"_base_ = 'mmdet::{base}'\n")
    return str(path)


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_is_the_config_that_mmengine_reads(path):
    assert read_config(str(path)).to_dict() == Config.fromfile(path).to_dict()


def test_reads_no_metafile(tmp_path):
    path = config_of('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', tmp_path)
    with mock.patch('mmengine.config.utils.load', side_effect=AssertionError) as load:
        assert read_config(path).model.type == 'FasterRCNN'
        with pytest.raises(AssertionError):
            Config.fromfile(path)
    load.assert_called_once()


def test_what_no_file_has_is_left_to_mmengine(tmp_path):
    path = config_of('faster_rcnn/absent.py', tmp_path)
    with pytest.raises(FileNotFoundError) as theirs:
        Config.fromfile(path)
    with quick_bases(), pytest.raises(FileNotFoundError) as ours:
        Config.fromfile(path)
    assert str(ours.value) == str(theirs.value)


def test_mmengine_is_unchanged_afterwards():
    search = mmengine_config._get_external_cfg_path
    with pytest.raises(KeyError), quick_bases():
        assert mmengine_config._get_external_cfg_path is not search
        raise KeyError
    assert mmengine_config._get_external_cfg_path is search


def test_another_mmengine_without_that_function_is_left_alone(monkeypatch):
    monkeypatch.delattr(mmengine_config, '_get_external_cfg_path')
    with quick_bases():
        assert not hasattr(mmengine_config, '_get_external_cfg_path')
