"""No allowed type runs code, however a pickle calls it or sets its state."""

import itertools
import pickle
import zipfile
from pathlib import Path

import oracle
import pytest
import torch
from crafted_checkpoints import Call, Name, Pickler
from mmengine.logging import HistoryBuffer

from epsanet_mmdet.checkpoint import restricted_load
from epsanet_mmdet.checkpoint.load import HARMLESS
from epsanet_mmdet.checkpoint.reader.harmless import explain
from epsanet_mmdet.errors import CheckpointError

NAMES = sorted(
    entry[1] if isinstance(entry, tuple) else f'{entry.__module__}.{entry.__qualname__}'
    for entry in HARMLESS
)
HISTORY = Name('mmengine.logging.history_buffer', 'HistoryBuffer')
MEAN = Call(Name('builtins', 'getattr'), HISTORY, 'mean')


class NewObject(Call):
    """Pickles as ``cls.__new__(cls, *arguments)``, then as a state."""


def arguments(marker: Path) -> list:
    touch = f'touch "{marker}"'
    return [
        (), (touch,), ({'a': touch},), (HISTORY,), (HISTORY, 'mean'), (MEAN,), (b'A' * 64,),
        ([['a', touch]],), (2024, 2, 29),
    ]  # fmt: skip


def states(marker: Path) -> list:
    return [
        None,
        {'__class__': HISTORY},
        (None, {'__class__': HISTORY, '__reduce__': MEAN}),
        {'__setstate__': MEAN, 'keys': MEAN, '__init__': MEAN, 'items': MEAN},
        (1, (1,), 'O', False, b'A' * 8),
        (3, '|', None, None, None, -1, -1, 63),
    ]


class _Pickler(Pickler):
    def save(self, obj, *args, **kwargs):
        if isinstance(obj, NewObject):
            function, given, state = obj.reduced
            self.save(function)
            self.save(given)
            self.write(pickle.NEWOBJ)
            for _ in range(2):  # the second may call what the first has set
                self.save(state)
                self.write(pickle.BUILD)
        else:
            super().save(obj, *args, **kwargs)


def test_the_list_is_the_one_that_is_documented():
    """A type that is added to it is attacked below; this asks for a look at its methods."""
    modules = {name.rpartition('.')[0] for name in NAMES}
    assert modules == {
        'argparse', 'builtins', 'collections', 'datetime', 'epsanet_mmdet',
        'mmengine.config.config', 'mmengine.logging.history_buffer',
        'mmengine.optim.scheduler.param_scheduler', 'numpy', 'numpy._core.multiarray',
        'numpy.core.multiarray', 'pathlib', 'pathlib._local',
    }  # fmt: skip


@pytest.mark.parametrize('name', NAMES)
def test_runs_nothing(name, tmp_path):
    marker, path = tmp_path / 'ran', tmp_path / 'crafted.pth'
    target = Name(*name.rsplit('.', 1))
    before = dict(vars(HistoryBuffer))
    for given, state in itertools.product(arguments(marker), states(marker)):
        for kind in (Call, NewObject):
            with open(tmp_path / 'data.pkl', 'wb') as file:
                _Pickler(file, 2).dump([kind(target, *given, state=state)])
            with zipfile.ZipFile(path, 'w') as archive:
                archive.write(tmp_path / 'data.pkl', 'archive/data.pkl')
                archive.writestr('archive/version', '3\n')
            oracle.check(lambda: restricted_load(str(path)), 2**40)
            assert not marker.exists()
    assert dict(vars(HistoryBuffer)) == before


def test_the_watch_sees_code_that_runs(tmp_path):
    """Else the test above would prove nothing."""
    with pytest.raises(oracle.Broken, match='ran code'):
        oracle.check(lambda: eval('1 + 1'), 2**40)


def test_what_is_not_listed_is_refused(tmp_path):
    for name in ('functools.partial', 'importlib.import_module', 'numpy.load', 'pathlib.open'):
        with open(tmp_path / 'a.pth', 'wb') as file:
            Pickler(file, 2).dump(Call(Name(*name.rsplit('.', 1))))
        with pytest.raises(CheckpointError):
            restricted_load(str(tmp_path / 'a.pth'))


def test_a_full_gpu_is_not_called_a_damaged_file():
    error = torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 50.00 MiB.')
    assert explain(error).startswith("does not fit into the GPU's free memory")


@pytest.mark.parametrize('error', [KeyError(174812789), EOFError()])
def test_a_number_or_nothing_is_no_reason(error):
    assert explain(error).startswith('is damaged or not a PyTorch checkpoint; get it again')
