"""Modules and what they define are found under their old names, with a warning."""

import importlib
import pickle
import sys

import pytest

import epsanet_mmdet
from epsanet_mmdet.moved import MOVED


@pytest.mark.parametrize('old, new', MOVED.items())
def test_an_old_name_warns_and_leads_to_the_new_one(old, new, monkeypatch):
    monkeypatch.delitem(sys.modules, f'epsanet_mmdet.{old}', raising=False)
    with pytest.warns(DeprecationWarning, match=rf'epsanet_mmdet\.{old} is now .*\.{new}$'):
        stand_in = importlib.import_module(f'epsanet_mmdet.{old}')
    module = importlib.import_module(f'epsanet_mmdet.{new}')
    for name in vars(module):
        if not name.startswith('__'):
            assert getattr(stand_in, name) is getattr(module, name)


def test_submodules_that_kept_their_names_are_found_below_old_packages():
    from epsanet_mmdet.checkpoints.untrusted import load_untrusted
    from epsanet_mmdet.datasets.formats.yolo import read_yolo  # noqa: F401
    from epsanet_mmdet.report.metrics import evaluate  # noqa: F401

    assert load_untrusted is epsanet_mmdet.checkpoint.load_untrusted


def test_objects_pickled_under_an_old_name_load():
    old = b'cepsanet_mmdet.backbones.epsanet\nEPSANet\n.'
    assert pickle.loads(old) is epsanet_mmdet.models.EPSANet


def test_names_that_never_existed_are_not_found():
    for name in ('backbones.nothing', 'nothing', 'reports'):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(f'epsanet_mmdet.{name}')
    with pytest.raises(ImportError):
        from epsanet_mmdet.backbones import Nothing  # noqa: F401


def test_a_renamed_function_warns_and_is_the_new_one():
    from epsanet_mmdet.utils.command_line import run_command

    with pytest.warns(DeprecationWarning, match=r'exit_on_user_error is now .*\.run_command$'):
        from epsanet_mmdet.engine.mmdet_tools import exit_on_user_error
    assert exit_on_user_error is run_command
    with pytest.raises(ImportError):
        from epsanet_mmdet.engine.mmdet_tools import nothing  # noqa: F401
