"""Fixtures for all tests: real images where they are available, and a quiet mmengine."""

import ctypes
import gc
import logging
import os
from pathlib import Path

# Tests run in parallel processes; several threads in each would compete for the cores.
os.environ['OMP_NUM_THREADS'] = '1'
# Other tests evaluate as without faster-coco-eval; its own compare the two.
os.environ.setdefault('EPSANET_COCO_EVAL', 'pycocotools')

import pytest  # noqa: E402
import torch  # noqa: E402
from interpreter import pytest_pyfunc_call  # noqa: E402, F401
from slow_first import pytest_collection_modifyitems  # noqa: E402, F401
from teacher_files import teacher_file  # noqa: E402, F401

ROOT = Path(__file__).parent.parent
SHARED_DATA = ROOT.parent / 'shared' / 'data'


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope='module', autouse=True)
def _return_memory():
    """Return freed memory to the system after a module: a large process takes long to fork."""
    yield
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # glibc's
    if trim:
        trim(0)


@pytest.fixture(autouse=True)
def _no_default_scope():
    """Reset the registry scope, which a Runner of another test may have set."""
    from mmengine.registry import DefaultScope

    DefaultScope._instance_dict.clear()


@pytest.fixture(autouse=True)
def _quiet_mmengine():
    from mmengine.logging import MMLogger

    logging.raiseExceptions = False  # about a stream of an earlier test that pytest has closed
    MMLogger.get_current_instance().setLevel(logging.WARNING)


@pytest.hookimpl(trylast=True)  # after the fixtures have ended
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Remove the checkpoints of a test, which pytest keeps with its folder: all have 30 GB."""
    for folder, _, files in os.walk(item.funcargs.get('tmp_path', '')):
        for file in files:
            if file.endswith('.pth'):
                Path(folder, file).unlink(missing_ok=True)


def shared_data(name: str) -> Path:
    path = SHARED_DATA / name
    if not path.is_dir():
        pytest.skip(f'needs the real images of ../shared/data/{name}, which are not here')
    return path


@pytest.fixture(scope='session')
def tiny_coco() -> Path:
    """50 + 50 real COCO 2017 images in COCO's own layout."""
    return shared_data('tiny_coco')


@pytest.fixture(scope='session')
def penn_fudan() -> Path:
    """120 + 50 street photographs with pedestrians and their masks."""
    return shared_data('penn_fudan')
