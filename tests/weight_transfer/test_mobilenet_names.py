"""Weights of torchvision's MobileNetV2 and of ECA-Net's load, and ours computes the same."""

import pytest
import torch
import torch.nn.functional as F
from closeness import assert_close
from mmdet.registry import MODELS
from norm_statistics import randomise
from torch import nn

from epsanet_mmdet.weight_transfer.conversion import convert_weights

PLUGINS = [
    dict(
        cfg=dict(type='ECALayer2d', kernel_size=size),
        stages=[(stage < 6) == (size == 1) for stage in range(1, 8)],
        position='after_linear_conv',
    )
    for size in (1, 3)
]


# Expansion, channels, blocks and stride of each stage (arXiv 1801.04381, Table 2)
STAGES = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


class ECA(nn.Module):
    """The layer that ECA-Net's authors append to a block, with its parameter's name."""

    def __init__(self, kernel_size):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size, bias=False)

    def forward(self, x):
        size = self.conv.weight.size(-1)
        y = F.conv1d(x.mean((2, 3))[:, None], self.conv.weight, padding=size // 2)
        return x * y.sigmoid()[:, 0, :, None, None]


def conv_norm(channels, out, size, stride=1, groups=1):
    conv = nn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6())


class Block(nn.Module):
    """An inverted residual, with torchvision's names."""

    def __init__(self, channels, out, stride, expansion, with_eca):
        super().__init__()
        width = channels * expansion
        expand = [conv_norm(channels, width, 1)] if expansion > 1 else []
        linear, norm, _ = conv_norm(width, out, 1)
        eca = [ECA(1 if out <= 96 else 3)] if with_eca else []
        self.conv = nn.Sequential(
            *expand, conv_norm(width, width, 3, stride, groups=width), linear, norm, *eca
        )
        self.adds = stride == 1 and channels == out

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


def theirs(with_eca):
    channels, layers = 32, [conv_norm(3, 32, 3, 2)]
    for expansion, out, blocks, stride in STAGES:
        for i in range(blocks):
            layers.append(Block(channels, out, 1 if i else stride, expansion, with_eca))
            channels = out
    layers.append(conv_norm(channels, 1280, 1))
    classifier = nn.Sequential(nn.Dropout(), nn.Linear(1280, 1000))
    parts = dict(features=nn.Sequential(*layers), classifier=classifier)
    return randomise(nn.ModuleDict(parts)).eval()


@pytest.mark.parametrize(
    'with_eca, backbone',
    [
        (False, dict(type='MobileNetV2')),
        (True, dict(type='WithPlugins', base='MobileNetV2', plugins=PLUGINS)),
    ],
)
def test_loads_whole_and_computes_the_same(with_eca, backbone, tmp_path):
    network = theirs(with_eca)
    torch.save(network.state_dict(), tmp_path / 'in.pth')
    converted = convert_weights(tmp_path / 'in.pth', tmp_path / 'out.pth', backbone=backbone)
    assert converted.comparison.complete
    model = MODELS.build(dict(backbone, out_indices=(7,)))
    state = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    model.load_state_dict(state, strict=False)
    model.eval()
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        assert_close(model(x)[0], network['features'](x))
