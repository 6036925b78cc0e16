"""Passes read their input sizes and run with or without our kernels."""

import pytest
import torch
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.benchmark import Input, build_network, parse_input
from epsanet_mmdet.benchmark.passes import choose_precision, make_pass
from epsanet_mmdet.layers.fusable import FUSED
from epsanet_mmdet.models import EPSANet

CPU, GPU = torch.device('cpu'), torch.device('cuda', 1)
TINY = Input(2, 64, 64)


def test_torch_s_own_operations_can_be_measured_beside_our_kernels(monkeypatch):
    kernels = pytest.importorskip('epsanet_mmdet.ops.cpu.kernels')
    fused, used = FUSED[EPSANet], []
    monkeypatch.setitem(
        FUSED, EPSANet, lambda *given: used.append(kernels.instruction_set()) or fused(*given)
    )
    for name in ('epsanet50-s+library', 'epsanet50-s'):
        make_pass(build_network(name, CPU), 'inference', TINY, CPU, 'fp32')()
    assert used == [None, kernels.instruction_set()]


@pytest.mark.parametrize('task', ['inference', 'training'])
def test_a_pass_runs_in_the_mode_of_its_task_whatever_ran_before(task):
    network = build_network('resnet50', CPU)
    passes = {t: make_pass(network, t, TINY, CPU, 'fp32') for t in ('inference', 'training')}
    for other in passes:
        passes[other]()
        passes[task]()
        assert {m.training for m in network.module.modules()} == {task == 'training'}


def test_detectors_train_with_norms_as_configured(tiny_detector):  # noqa: F811
    network = build_network(tiny_detector.config, CPU)
    make_pass(network, 'training', TINY, CPU, 'fp32')
    assert network.module.training and not network.module.backbone.norm1.training


@pytest.fixture
def tf32_users():
    """Parts of torch that may use TF32, whose settings are restored."""
    users = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [user.allow_tf32 for user in users]
    yield users
    for user, allowed in zip(users, before):
        user.allow_tf32 = allowed


@pytest.mark.parametrize(
    'precision, dtype',
    [('fp32', torch.float32), ('tf32', torch.float32), ('bf16', torch.bfloat16)],
)
def test_a_gpu_multiplies_in_the_given_precision(precision, dtype, tf32_users, monkeypatch):
    used = []
    monkeypatch.setattr(torch.cuda, 'set_device', used.append)
    for user in tf32_users:
        user.allow_tf32 = precision != 'tf32'
    assert choose_precision(precision, GPU) == dtype
    assert [user.allow_tf32 for user in tf32_users] == [precision == 'tf32'] * 2
    assert used == [GPU]


def test_reads_inputs():
    assert parse_input('4x800x1333') == Input(4, 800, 1333)
    assert parse_input(str(TINY)) == TINY
