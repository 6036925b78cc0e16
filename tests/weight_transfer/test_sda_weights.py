"""Weights of the SDA networks load whole and compute what the authors' code does."""

import pytest
import sda_networks as theirs
import torch
from mmdet.registry import MODELS

from epsanet_mmdet.weight_transfer.conversion import convert_weights

SE = [dict(cfg=dict(type='SELayer2d', bias=True), position='after_conv3')]
NETWORKS = {
    'SDA-ResNet': (theirs.resnet_block, dict(type='SDAResNet')),
    'SDA-SENet': (theirs.senet_block, dict(type='SDAResNet', groups=1, plugins=SE)),
    'SDA-Res2Net': (theirs.res2net_block, dict(type='SDARes2Net', base_width=26 / 4)),
}


@pytest.mark.parametrize('name', NETWORKS)
def test_loads_whole_and_computes_the_same(name, tmp_path):
    block, backbone = NETWORKS[name]
    backbone = dict(backbone, depth=50, base_channels=16)
    state = theirs.weights(block, 16)
    state = {k: v / v[0].numel() ** 0.5 if v.ndim > 1 else v for k, v in state.items()}
    torch.save({f'module.{k}': v for k, v in state.items()}, tmp_path / 'in.pth')

    conversion = convert_weights(tmp_path / 'in.pth', tmp_path / 'out.pth', backbone=backbone)
    assert conversion.comparison.complete
    model = MODELS.build(backbone)
    converted = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    missing, unexpected = model.load_state_dict(converted, strict=False)
    assert not unexpected and all(key.endswith('num_batches_tracked') for key in missing)

    model.double().eval()
    x = torch.randn(2, 3, 70, 96, dtype=torch.double)
    expected = theirs.features({k: v.double() for k, v in state.items()}, x)
    with torch.no_grad():
        for ours, wanted in zip(model(x), expected, strict=True):
            torch.testing.assert_close(ours, wanted)
