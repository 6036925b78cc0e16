"""Measured plans are used on the GPU they were measured on, and a file that is not valid never."""

import json
import os
import subprocess
import sys
import warnings

import msgspec
import pytest
import torch

from epsanet_mmdet.ops.gpu import choice, plan_file
from epsanet_mmdet.ops.gpu.blocking import Blocking
from epsanet_mmdet.ops.gpu.compute import Compute
from epsanet_mmdet.ops.gpu.plan import HALF, ConvPlan, ConvShape, conv_plan, pointwise_tile
from epsanet_mmdet.ops.gpu.plan_file import Key, read_plans
from epsanet_mmdet.ops.gpu.tiles import ConvTile, PointwiseTile

GPU = torch.device('cuda', 0)
KEY = Key('NVIDIA H100', '550.54.15', '2.11.0', '12.8', '3.6.0', '0123456789abcdef')
COMPUTE = Compute(torch.bfloat16, HALF, 132, device=GPU)
SHAPE = ConvShape(64, 16, 5, 4, 1, 1)
PLAN = ConvPlan(Blocking(4, 1, 1, 1, 2, 5), ConvTile(64, 32, 8, 2))
TILE = PointwiseTile(32, 64, 16, 8, 4)
CONV = dict(SHAPE._asdict(), **PLAN.blocking._asdict(), **PLAN.tile._asdict())
CONTENT = dict(
    key=msgspec.to_builtins(KEY),
    convs=[dict(CONV, precision=HALF, pixels=12000)],
    pointwise=[
        dict(precision=HALF, inputs=64, outputs=256, pixels=12000)
        | dict(rows=32, columns=64, depth=16, warps=8, stages=4)
    ],
)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """This is the GPU of the key, with no plans."""
    monkeypatch.setattr(plan_file, 'key_of', lambda device: KEY)
    monkeypatch.delenv(plan_file.VARIABLE, raising=False)
    plan_file.forget_plans()
    yield
    plan_file.forget_plans()


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function that writes the file of ``EPSANET_GPU_PLANS``."""
    path = tmp_path / 'plans.json'
    monkeypatch.setenv(plan_file.VARIABLE, str(path))

    def write(content):
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        plan_file.forget_plans()
        return str(path)

    write.path = str(path)
    return write


def conv(pixels=12000, compute=COMPUTE):
    return choice.choose_conv(SHAPE, pixels, compute)


def pointwise(pixels=12000, compute=COMPUTE):
    return choice.choose_pointwise(pixels, 64, 256, compute)


def rule(pixels=12000):
    return conv_plan(SHAPE, pixels, HALF, 132)


def test_without_a_file_rules_decide():
    assert conv() == rule()
    assert pointwise() == pointwise_tile(12000, 64, 256, HALF, 132)


def test_measured_plans_replace_the_rules(file):
    file(CONTENT)
    assert rule() != PLAN
    assert (conv(), pointwise()) == (PLAN, TILE)


def test_they_serve_similar_sizes_only(file):
    """The batches of detectors have many sizes."""
    near = dict(CONTENT['convs'][0], pixels=9000, warps=4)
    file(dict(CONTENT, convs=[*CONTENT['convs'], near]))
    assert conv(8000) == conv(10000) == PLAN._replace(tile=PLAN.tile._replace(warps=4))
    assert conv(11000) == conv(17999) == PLAN
    assert conv(5000) == rule(5000)
    assert conv(18001) == rule(18001)
    assert pointwise(18001) == pointwise_tile(18001, 64, 256, HALF, 132)


def test_they_serve_their_precision_and_shape_only(file):
    file(CONTENT)
    tf32 = COMPUTE._replace(dtype=torch.float32, precision='tf32')
    assert conv(compute=tf32) == conv_plan(SHAPE, 12000, 'tf32', 132)
    other = SHAPE._replace(groups=8)
    assert choice.choose_conv(other, 12000, COMPUTE) == conv_plan(other, 12000, HALF, 132)


def test_a_cpu_has_none(file):
    file('not read')
    assert conv(compute=COMPUTE._replace(device=None)) == rule()
    assert conv(compute=COMPUTE._replace(device=torch.device('cpu'))) == rule()


def ignored(file, content=None):
    """The one warning about a file that is ignored, however often plans are chosen."""
    if content is not None:
        file(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        for _ in range(3):
            assert conv() == rule()
            pointwise()
    (message,) = (str(warning.message) for warning in caught)
    assert '\n' not in message
    assert message.startswith(f"GPU plans '{file.path}' are ignored: ")
    assert message.endswith('; tune again, or unset EPSANET_GPU_PLANS')
    return message


@pytest.mark.parametrize('name', Key.__struct_fields__)
def test_a_file_of_another_gpu_or_version(file, name):
    key = dict(CONTENT['key'], **{name: 'another'})
    message = ignored(file, dict(CONTENT, key=key))
    if name == 'source':
        assert 'measured with other kernels' in message
    else:
        assert f"measured with {name} 'another'; here it is {getattr(KEY, name)!r}" in message


def test_no_file(file):
    assert 'No such file' in ignored(file)


def changed(**changes):
    return dict(CONTENT, convs=[dict(CONTENT['convs'][0], **changes)])


BAD = {
    'empty': '',
    'not JSON': '{"key": ',
    'not UTF-8': '"\udcff"',
    'a list': [],
    'no key': dict(convs=[]),
    'an unknown field': dict(CONTENT, more=1),
    'a number as text': changed(rows='2'),
    'a fraction': changed(rows=1.5),
    'a missing field': dict(CONTENT, convs=[dict(precision=HALF)]),
    'zero': changed(stages=0),
    'negative': changed(groups=-4),
    'huge': changed(inputs=2**70),
    'no power of 2': changed(rows=3),
    'a deep tile': changed(depth=4096),
    'a narrow tile': changed(blocks=8),
    'many warps': changed(warps=64),
    'a merge that does not divide': changed(merged=3),
    'channels that do not divide': changed(outputs=18),
    'a split that does not divide': changed(split=32),
    'an even kernel': changed(size=4),
    'deeply nested': '[' * 100_000,
    'a 1x1 tile that does not divide': dict(
        CONTENT, pointwise=[dict(CONTENT['pointwise'][0], inputs=24)]
    ),
}


@pytest.mark.parametrize('name', BAD)
def test_a_broken_file(file, name):
    content = BAD[name]
    if name == 'not UTF-8':
        with open(file.path, 'wb') as out:
            out.write(b'"\xff"')
        content = None
    ignored(file, content)


def test_a_folder(file, tmp_path, monkeypatch):
    monkeypatch.setenv(plan_file.VARIABLE, str(tmp_path))
    file.path = str(tmp_path)
    assert 'Is a directory' in ignored(file)


def test_a_file_that_was_written_is_read(file):
    plans = msgspec.convert(CONTENT, plan_file.Plans)
    plan_file.write_plans(plans, file.path)
    assert read_plans(file.path, KEY) == plans
    assert conv() == PLAN


def test_the_key_changes_with_the_source_of_the_kernels(tmp_path, monkeypatch):
    kernel, other = tmp_path / 'kernel.py', tmp_path / 'other.py'
    kernel.write_text('import triton\n@triton.jit\ndef kernel(): pass\n')
    other.write_text('a = 1\n')
    before = plan_file.source_hash(tmp_path)
    other.write_text('a = 2\n')
    assert plan_file.source_hash(tmp_path) == before
    kernel.write_text('import triton\n@triton.jit\ndef kernel(): return\n')
    assert plan_file.source_hash(tmp_path) != before


CHOOSE = """
import sys
from unittest import mock
import test_measured_plans as t
with mock.patch.object(t.plan_file, 'key_of', lambda device: t.KEY):
    print(t.conv(), t.pointwise(), t.conv(99))
"""


def test_processes_choose_alike(file):
    """As those of a distributed run, which have the same environment."""
    file(CONTENT)
    command = [sys.executable, '-W', 'error::UserWarning:epsanet_mmdet', '-c', CHOOSE]
    paths = {'PYTHONPATH': ':'.join(path for path in sys.path if path)}
    environment = {**os.environ, **paths}
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    chosen = [process.communicate()[0].splitlines()[-1:] for process in processes]  # OneDL prints
    assert chosen == [[f'{PLAN} {TILE} {rule(99)}']] * 2
