"""Types and bases that name the scope epsanet_mmdet are found from everywhere."""

import pytest
from conftest import ROOT
from mmdet.registry import DATASETS, HOOKS, MODELS
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import init_default_scope
from package_base import BASE, check_base

from epsanet_mmdet import datasets
from epsanet_mmdet.config.load import configs_dir
from epsanet_mmdet.engine import hooks
from epsanet_mmdet.models import EPSANet


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


def test_bases_named_by_the_package_load_in_a_source_checkout(tmp_path):
    check_base(tmp_path, PYTHONPATH=str(ROOT))


def test_a_config_named_by_the_package_is_the_shipped_one(tmp_path):
    (tmp_path / 'mine.py').write_text(f"_base_ = 'epsanet_mmdet::{BASE}'\n")
    mine, shipped = (Config.fromfile(p) for p in (tmp_path / 'mine.py', configs_dir() / BASE))
    assert mine.model.backbone.type == shipped.model.backbone.type == 'EPSANet'
    assert mine.optim_wrapper == shipped.optim_wrapper
