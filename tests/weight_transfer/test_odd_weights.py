"""Files without usable weights end conversion and transplant in one line that names them."""

import functools
import io
import os
import tarfile

import pytest
import torch
from classifier_files import resnet
from forked_reader import forked_child  # noqa: F401
from tool_process import run_tool
from torch import nn

from epsanet_mmdet.errors import CheckpointError
from epsanet_mmdet.weight_transfer.conversion import convert_weights
from epsanet_mmdet.weight_transfer.teacher import read_teacher

NAME = 'layer1.0.conv1.weight'
ANOTHER = 'layer3.1.conv2.weight'


@functools.cache
def weights():
    return resnet(50)


def every(change):
    return {name: change(value) for name, value in weights().items()}


def changed(name, change):
    return {**weights(), name: change(weights()[name])}


CONTENT = {
    'an empty dict': lambda: {},
    'a list': lambda: [torch.ones(1)],
    'a string': lambda: 'resnet50',
    'a number': lambda: 3,
    'strings': lambda: {name: 'weight' for name in weights()},
    'numbers as names': lambda: dict(enumerate(weights().values())),
    'a dict of dicts': lambda: {'a': {'b': weights()}},
    'integers': lambda: every(lambda v: v.to(torch.int8)),
    'booleans': lambda: every(lambda v: v > 0),
    'complex numbers': lambda: every(lambda v: v.to(torch.complex64)),
    'numbers that are not finite': lambda: changed(ANOTHER, lambda v: v / 0),
    'quantised': lambda: changed(
        NAME, lambda v: torch.quantize_per_tensor(v.float(), 0.1, 0, torch.qint8)
    ),
    'sparse': lambda: changed(NAME, lambda v: v.to_sparse()),
    'without numbers': lambda: every(lambda v: v.to('meta')),
    'flat': lambda: every(lambda v: v.flatten()),
    'transposed': lambda: every(lambda v: v.transpose(0, -1) if v.ndim > 1 else v),
    'of no dimensions': lambda: every(lambda v: torch.tensor(1.0)),
    'empty tensors': lambda: every(lambda v: v[:0] if v.ndim else v),
    'one tensor': lambda: {NAME: weights()[NAME]},
    'a module': lambda: nn.Sequential(nn.Conv2d(3, 4, 1)),
}


def cut(path, share):
    torch.save(weights(), path)
    os.truncate(path, int(share * os.path.getsize(path)))


def tar(path):
    with tarfile.open(path, 'w') as file:
        for name in ('sys_info', 'pickle', 'storages', 'tensors'):
            file.addfile(tarfile.TarInfo(name), io.BytesIO())


FILES = {
    'TorchScript': lambda path: torch.jit.trace(nn.Linear(1, 1), torch.ones(1, 1)).save(path),
    'a tar archive': tar,
    'a folder': os.mkdir,
    'an empty file': lambda path: path.touch(),
    'a truncated file': lambda path: cut(path, 0.6),
    'the first bytes': lambda path: cut(path, 1e-6),
    'a web page': lambda path: path.write_text('<html>404</html>'),
    'absent': lambda path: None,
}


def convert(path):
    convert_weights(path, f'{path}.out.pth', backbone=dict(type='ResNet', depth=50))


@pytest.mark.usefixtures('forked_child')
@pytest.mark.parametrize('read', [convert, read_teacher])
@pytest.mark.parametrize('what', [*CONTENT, *FILES])
def test_the_error_is_one_line_that_names_the_file(what, read, tmp_path):
    path = tmp_path / 'odd.pth'
    if what in FILES:
        FILES[what](path)
    else:
        torch.save(CONTENT[what](), path)
    with pytest.raises(CheckpointError) as caught:
        read(str(path))
    message = str(caught.value)
    assert '\n' not in message and 'odd.pth' in message and len(message) < 600
    assert not (tmp_path / 'odd.pth.out.pth').exists()


@pytest.mark.usefixtures('forked_child')
@pytest.mark.parametrize('shape', [(64, 0, 1, 1), (), (64,)], ids=str)
def test_a_first_layer_of_another_shape(shape, tmp_path):
    """Conversion leaves it out as a wrong shape; a teacher must have it."""
    torch.save(changed(NAME, lambda v: torch.ones(shape)), tmp_path / 'odd.pth')
    result = convert_weights(
        tmp_path / 'odd.pth', tmp_path / 'out.pth', backbone=dict(type='ResNet', depth=50)
    )
    assert result.comparison.reshaped == [NAME]
    with pytest.raises(CheckpointError, match=NAME):
        read_teacher(str(tmp_path / 'odd.pth'))


@pytest.mark.usefixtures('forked_child')
@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16, torch.float8_e5m2], ids=str)
def test_other_precisions_become_float32(kind, tmp_path):
    torch.save(every(lambda v: v.to(kind)), tmp_path / 'a.pth')
    convert(str(tmp_path / 'a.pth'))
    written = torch.load(tmp_path / 'a.pth.out.pth', weights_only=True)['state_dict']
    assert written[NAME].dtype == torch.float32
    assert written[NAME].equal(weights()[NAME].to(kind).float())


@pytest.mark.parametrize('what', ['an empty dict', 'a module', 'integers'])
def test_the_tool_ends_with_that_line(what, tmp_path):
    torch.save(CONTENT[what](), tmp_path / 'odd.pth')
    files = (tmp_path / 'odd.pth', tmp_path / 'out.pth')
    run = run_tool('convert_weights.py', *files, '--backbone', 'type=ResNet', 'depth=50')
    assert run.returncode == 1 and 'Traceback' not in run.stderr
    assert run.stderr.splitlines()[-1].startswith('error: ') and 'odd.pth' in run.stderr
    assert not (tmp_path / 'out.pth').exists()


def test_safetensors_are_written_on_demand_and_can_be_read(tmp_path):
    torch.save(weights(), tmp_path / 'a.pth')
    files = (tmp_path / 'a.pth', tmp_path / 'b.safetensors')
    done = run_tool('convert_weights.py', *files, '--backbone', 'type=ResNet', 'depth=50')
    assert done.returncode == 0, done.stderr
    convert(str(tmp_path / 'b.safetensors'))  # and read again
    written = torch.load(tmp_path / 'b.safetensors.out.pth', weights_only=True)['state_dict']
    given = {k: v for k, v in weights().items() if not k.startswith('fc.')}
    assert written.keys() == given.keys() and all(written[k].equal(given[k]) for k in given)
