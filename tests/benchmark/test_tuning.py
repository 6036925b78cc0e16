"""``--tune`` measures plans for the networks and sizes of a benchmark, which then uses them."""

import os
import sys
from types import ModuleType

import pytest
import torch
from one_line import error_line

from epsanet_mmdet.benchmark import parse_input, run_benchmark, tuning
from epsanet_mmdet.errors import ArgumentError, ExtraError
from epsanet_mmdet.models import EPSANet

GPU, SIZES = torch.device('cuda', 0), [parse_input('1x64x96'), parse_input('2x64x64')]


@pytest.fixture
def tuned(monkeypatch):
    """The arguments with which plans were measured."""
    calls, module = [], ModuleType('tune')
    module.tune = lambda *args: calls.append(args)
    monkeypatch.setitem(sys.modules, 'epsanet_mmdet.ops.gpu.tune', module)
    monkeypatch.setenv('EPSANET_GPU_PLANS', 'before.json')
    return calls


def test_networks_are_tuned_once_for_all_sizes(tuned):
    names, progress = ['resnet50', 'epsanet50-s', 'epsanet50-s+compile'], print
    tuning.tune_plans(names, SIZES, 'plans.json', GPU, torch.bfloat16, progress)
    ((networks, *others),) = tuned
    assert others == [SIZES, 'plans.json', GPU, torch.bfloat16, progress]
    assert len(networks) == 2 and type(networks[1]) is EPSANet
    assert os.environ['EPSANET_GPU_PLANS'] == 'plans.json'


def test_a_cpu_has_no_plans(tuned):
    line = error_line(
        ArgumentError,
        run_benchmark,
        ['epsanet50-s'],
        inference=['1x64x64'],
        device='cpu',
        tune='plans.json',
    )
    assert line == "plans are for GPU kernels, but the device is 'cpu'; omit --tune"
    assert not tuned


@pytest.mark.parametrize('missing', ['triton', 'epsanet_mmdet.ops.gpu.tune'])
def test_without_kernels(monkeypatch, missing):
    def import_module(name, package):
        raise ModuleNotFoundError(name=missing)

    monkeypatch.setattr(tuning, 'import_module', import_module)
    arguments = ['epsanet50-s'], SIZES, 'plans.json', GPU, torch.bfloat16, print
    line = error_line(ExtraError, tuning.tune_plans, *arguments)
    assert line == f'there is no {missing}, which --tune needs; run: pip install triton'
