"""The scope epsanet_mmdet, and configs named epsanet_mmdet::..., as the docs name them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from mmdet.registry import DATASETS, HOOKS, MODELS
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import init_default_scope

from epsanet_mmdet import datasets
from epsanet_mmdet.config.load import configs_dir
from epsanet_mmdet.engine import hooks
from epsanet_mmdet.models import EPSANet

BASE = 'epsanet/mask-rcnn_epsanet50-s_fpn_1x_coco.py'


@pytest.mark.parametrize('registry', [MODELS, ROOT_MODELS], ids=['mmdet', 'mmengine'])
@pytest.mark.parametrize('scope', [None, 'mmdet', 'epsanet_mmdet'])
def test_a_type_is_found_by_scope_wherever_it_is_built(registry, scope):
    if scope:
        init_default_scope(scope)
    assert type(registry.build(dict(type='epsanet_mmdet.EPSANet', depth=50))) is EPSANet


def test_other_registries_have_the_scope_too():
    assert HOOKS.get('epsanet_mmdet.FiniteLossHook') is hooks.FiniteLossHook
    assert DATASETS.get('epsanet_mmdet.CheckedCocoDataset') is datasets.CheckedCocoDataset


def test_as_the_default_scope_it_finds_mmdets_modules():
    init_default_scope('epsanet_mmdet')
    backbone = dict(type='EPSANet', depth=50, norm_cfg=dict(type='BN'))
    neck = dict(type='mmdet.FPN', in_channels=[256, 512, 1024, 2048], out_channels=64, num_outs=5)
    assert type(MODELS.build(backbone)) is EPSANet
    assert type(MODELS.build(dict(neck, type='FPN'))) is type(MODELS.build(neck))


def test_a_name_that_does_not_exist_is_named():
    with pytest.raises((KeyError, RuntimeError), match='NoSuchNet'):
        MODELS.build(dict(type='epsanet_mmdet.NoSuchNet'))


def check_base(folder: Path, **environment) -> None:
    """Check in a process of its own that a config with such a base loads and builds."""
    (folder / 'mine.py').write_text(
        f"_base_ = 'epsanet_mmdet::{BASE}'\n"
        "model = dict(backbone=dict(init_cfg=None), neck=dict(type='mmdet.FPN'))\n"
    )
    code = (
        'import epsanet_mmdet\n'
        'from mmdet.registry import MODELS\n'
        'from mmengine.config import Config\n'
        "config = Config.fromfile('mine.py')\n"
        'print(epsanet_mmdet.__file__, type(MODELS.build(config.model).backbone).__name__)\n'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    place, kind = done.stdout.split()[-2:]
    assert kind == 'EPSANet'
    assert place.startswith(environment['PYTHONPATH'])
    assert 'WARNING' not in done.stdout


def test_bases_named_by_the_package_load_in_a_source_checkout(tmp_path):
    check_base(tmp_path, PYTHONPATH=str(ROOT))


def test_a_config_named_by_the_package_is_the_shipped_one(tmp_path):
    (tmp_path / 'mine.py').write_text(f"_base_ = 'epsanet_mmdet::{BASE}'\n")
    mine, shipped = (Config.fromfile(p) for p in (tmp_path / 'mine.py', configs_dir() / BASE))
    assert mine.model.backbone.type == shipped.model.backbone.type == 'EPSANet'
    assert mine.optim_wrapper == shipped.optim_wrapper
