"""A wrong stack fails on import, with one line that says what to install."""

import pytest
from one_line import error_line

from epsanet_mmdet.utils.environment import check_stack, processor, versions

UPSTREAM = {'torch': '2.13.0+cpu', 'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmdet': '3.3.0'}
ONEDL = {
    'torch': '2.13.0',
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
}


def refusal(installed: dict) -> str:
    return error_line(ImportError, check_stack, installed.get)


def test_this_environment_passes():
    assert check_stack()


@pytest.mark.parametrize('installed', [UPSTREAM, ONEDL], ids=['upstream', 'onedl'])
def test_both_stacks_pass(installed):
    assert check_stack(installed.get)


def test_torch_alone_is_enough_for_the_layers():
    assert check_stack({'torch': '2.13.0'}.get) is False


@pytest.mark.parametrize('version', [None, '1.13.1', '2.5.1+cu121'])
def test_a_missing_or_old_torch_says_which_to_install(version):
    message = refusal({**UPSTREAM, 'torch': version})
    assert "pip install 'torch>=2.6'" in message
    assert 'not installed' in message if version is None else version in message


@pytest.mark.parametrize('stack', [UPSTREAM, ONEDL], ids=['upstream', 'onedl'])
def test_each_missing_package_is_named_with_its_version(stack):
    for name in list(stack)[1:]:
        message = refusal({k: v for k, v in stack.items() if k != name})
        assert f'{name} is not installed' in message
        assert f"pip install '{name}>=" in message


@pytest.mark.parametrize(
    'name, version',
    [
        ('mmcv', '2.2.0'),
        ('mmcv', '1.7.2'),
        ('mmdet', '2.28.2'),
        ('mmdet', '3.2.0'),
        ('mmengine', '0.7.0'),
    ],
)
def test_a_version_that_cannot_work_is_named_with_one_that_can(name, version):
    message = refusal({**UPSTREAM, name: version})
    assert f'{name} {version} is installed' in message and f"pip install '{name}>=" in message


def test_mmcv_is_said_to_build_from_source():
    assert 'builds from source' in refusal({**UPSTREAM, 'mmcv': '2.2.0'})


def test_both_stacks_beside_each_other_are_refused_by_name():
    message = refusal({**UPSTREAM, **ONEDL})
    assert 'mmcv' in message and 'onedl-mmcv' in message and 'uninstall' in message
    refusal({**UPSTREAM, 'onedl-mmcv': '2.3.6'})


def test_mmcv_without_operators_says_how_to_build_it(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    message = refusal(UPSTREAM)
    assert 'built without its operators' in message
    assert message.endswith('--no-cache-dir mmcv==2.1.0')


def test_versions_are_those_that_the_modules_report():
    import mmdet
    import torch

    found = versions()
    assert list(found) == ['epsanet_mmdet', 'torch', 'mmengine', 'mmcv', 'mmdet']
    assert (found['torch'], found['mmdet']) == (torch.__version__, mmdet.__version__)


def test_the_processor_has_a_name_of_one_line():
    assert processor() and '\n' not in processor()
