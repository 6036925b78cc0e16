"""Maps on a GPU go to the GPU's kernels, on their own device, whichever is the current one."""

from types import SimpleNamespace
from unittest import mock

import pytest
import torch

from epsanet_mmdet.ops import epsanet


@pytest.mark.parametrize('name', ['block_forward', 'network_forward'])
def test_maps_on_a_gpu(name):
    x = SimpleNamespace(is_cuda=True, dim=lambda: 4, numel=lambda: 1)
    current = []

    def device_of(tensor):
        assert tensor is x
        device = mock.MagicMock()
        device.__enter__.side_effect = lambda: current.append('of x')
        device.__exit__.side_effect = lambda *args: current.clear()
        return device

    def forward(module, tensor):
        assert tensor is x and current == ['of x']
        return 'computed'

    with (
        mock.patch.object(torch.cuda, 'device_of', device_of),
        mock.patch.object(epsanet.on_gpu, name, forward),
    ):
        assert getattr(epsanet, name)('the module', x) == 'computed'
    assert not current
