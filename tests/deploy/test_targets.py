"""A target changes the groups of PSA's convolutions, never the outputs."""

import pytest
import torch
from exportable import one_block_a_stage
from norm_statistics import randomise
from one_line import error_line

from epsanet_mmdet.deploy import deploy, prepare_for
from epsanet_mmdet.errors import ArgumentError
from epsanet_mmdet.layers.deployed_psa import PlainBranches
from epsanet_mmdet.models import EPSANet


@pytest.fixture(params=['small', 'large'])
def backbone(request):
    with one_block_a_stage():
        return deploy(randomise(EPSANet(50, request.param)).eval())


def branches(network):
    return [conv for m in network.modules() if isinstance(m, PlainBranches) for conv in m.convs]


def test_for_cuda_each_group_has_128_input_channels_or_all(backbone):
    merged = prepare_for(backbone, 'cuda')
    before, after = branches(backbone), branches(merged)
    assert any(a.groups < b.groups for a, b in zip(after, before))
    for conv in after:
        assert conv.groups == 1 or conv.in_channels // conv.groups >= 128
    images = torch.randn(2, 3, 64, 96)
    for ours, theirs in zip(merged(images), backbone(images)):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_original_keeps_its_groups(backbone):
    before = [conv.groups for conv in branches(backbone)]
    weights = {name: value.shape for name, value in backbone.state_dict().items()}
    prepare_for(backbone, 'cuda')
    assert [conv.groups for conv in branches(backbone)] == before
    assert {name: value.shape for name, value in backbone.state_dict().items()} == weights


def test_for_cpus_nothing_changes(backbone):
    assert prepare_for(backbone, 'cpu') is backbone


def test_an_unknown_target_is_named(backbone):
    assert 'tpu' in error_line(ArgumentError, prepare_for, backbone, 'tpu')
