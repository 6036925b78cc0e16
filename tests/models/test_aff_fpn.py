"""AFFFPN is mmdet's FPN except for the fusion of levels."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.necks import FPN
from torch.nn import GroupNorm
from torch.nn.modules.batchnorm import _BatchNorm

from epsanet_mmdet.errors import ArgumentError
from epsanet_mmdet.models import AFFFPN

CHANNELS = [8, 16, 32, 64]


def features(batch=2):
    return tuple(torch.randn(batch, c, 33 // 2**i + 1, 20 // 2**i) for i, c in enumerate(CHANNELS))


@pytest.mark.parametrize(
    'options',
    [
        dict(num_outs=5),
        dict(num_outs=4, upsample_cfg=dict(mode='bilinear', align_corners=False)),
        dict(num_outs=5, start_level=1, add_extra_convs='on_input'),
        dict(num_outs=5, start_level=1, add_extra_convs='on_lateral', norm_cfg=dict(type='BN')),
        dict(num_outs=6, start_level=1, add_extra_convs='on_output', relu_before_extra_convs=True),
        dict(num_outs=2, start_level=1, end_level=2),
    ],
    ids=str,
)
def test_adding_is_mmdets_fpn(options):
    mmdets = FPN(CHANNELS, 16, **options).eval()
    ours = AFFFPN(CHANNELS, 16, fusion='add', **options).eval()
    ours.load_state_dict(mmdets.state_dict())
    inputs = features()
    with torch.no_grad():
        torch.testing.assert_close(ours(inputs), mmdets(inputs))


@pytest.mark.parametrize('fusion', ['aff', 'iaff'])
def test_fuses_a_level_with_the_one_above(fusion):
    neck = AFFFPN(CHANNELS, 16, 4, fusion=fusion).eval()
    inputs = features()
    with torch.no_grad():
        third, fourth = (neck.lateral_convs[i](inputs[i]) for i in (2, 3))
        upper = F.interpolate(fourth, size=third.shape[2:], mode='nearest')
        expected = neck.fpn_convs[2](neck.fusions[2](third, upper))
        torch.testing.assert_close(neck(inputs)[2], expected)


def test_scale_factor_replaces_the_size():
    neck = AFFFPN(CHANNELS, 16, 4, upsample_cfg=dict(scale_factor=2, mode='nearest'))
    inputs = tuple(torch.randn(2, c, 32 // 2**i, 16 // 2**i) for i, c in enumerate(CHANNELS))
    assert [out.shape[2:] for out in neck(inputs)] == [x.shape[2:] for x in inputs]


def test_trains_with_one_image():
    neck = AFFFPN(CHANNELS, 16, 5).train()
    sum(out.mean() for out in neck(features(batch=1))).backward()
    assert all(p.grad is not None for p in neck.parameters())


def test_fusions_normalise_by_norm_cfg():
    neck = AFFFPN(CHANNELS, 16, 5, norm_cfg=dict(type='GN', num_groups=2)).train()
    assert not any(isinstance(m, _BatchNorm) for m in neck.modules())
    assert sum(isinstance(m, GroupNorm) for m in neck.fusions.modules()) == 3 * 4
    sum(out.mean() for out in neck(features(batch=1))).backward()


@pytest.mark.parametrize('levels', [slice(3), slice(1, 4)])
def test_another_number_of_maps_is_refused(levels):
    with pytest.raises(ArgumentError, match='AFFFPN needs 4 maps'):
        AFFFPN(CHANNELS, 16, 5)(features()[levels])


def test_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="AFFFPN has no fusion='sum'"):
        AFFFPN(CHANNELS, 16, 5, fusion='sum')
