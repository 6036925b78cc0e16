"""A module that was prepared for evaluation is prepared again after any change."""

import pytest
import torch
from torch import nn

from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.ops.snapshot import Snapshot


@pytest.fixture
def network():
    return EPSANet(50, out_indices=(0,), num_stages=1, strides=(1,), dilations=(1,)).eval()


def test_an_unchanged_module(network):
    snapshot = Snapshot(network)
    with torch.no_grad():
        network(torch.randn(1, 3, 32, 32))
    assert snapshot.holds()


def test_a_module_of_inference_tensors():
    with torch.inference_mode():
        network = EPSANet(50, out_indices=(0,), num_stages=1, strides=(1,), dilations=(1,)).eval()
    assert Snapshot(network).holds()


def _replace_weight(network):
    network.conv1.weight = nn.Parameter(network.conv1.weight.detach().clone())


def _write_data_and_evaluate(network):
    network.layer1[0].conv1.weight.data.mul_(2)  # as mmengine's EMA does, before its loops
    network.eval()


CHANGES = {
    'an in-place operation': lambda n: n.conv1.weight.detach().mul_(2),
    'a checkpoint': lambda n: n.load_state_dict(n.state_dict()),
    'other memory': lambda n: setattr(n.conv1.weight, 'data', n.conv1.weight.data.clone()),
    'another parameter': _replace_weight,
    'a running statistic': lambda n: n.bn1.running_mean.add_(1),
    'a hook': lambda n: n.layer1[0].conv2.register_forward_hook(lambda *args: None),
    'another forward': lambda n: setattr(n.relu, 'forward', lambda x: x),
    'another module': lambda n: setattr(n, 'relu', nn.ReLU6()),
    'an option': lambda n: setattr(n.layer1[0].conv1, 'stride', (2, 2)),
    'the attention': lambda n: setattr(n.layer1[0].conv2, 'attention_type', 'sigmoid'),
    'an epsilon': lambda n: setattr(n.bn1, 'eps', 0.1),
    'the mode': lambda n: n.bn1.train(),
    'data and the mode': _write_data_and_evaluate,
}


@pytest.mark.parametrize('change', CHANGES.values(), ids=CHANGES)
def test_a_changed_module(network, change):
    snapshot = Snapshot(network)
    change(network)
    assert not snapshot.holds()


def test_a_class_whose_forward_is_replaced(network, monkeypatch):
    snapshot = Snapshot(network)
    monkeypatch.setattr(nn.ReLU, 'forward', lambda self, x: x)
    assert not snapshot.holds()
