"""The authors' steps give what the formulas and the package's own steps give."""

import pytest
import torch
from epsanet_reference import epsanet, psa

from epsanet_mmdet.benchmark import PublishedPSA, published_formulation
from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.models import EPSANet

GROUPS = {'small': (1, 4, 8, 16), 'large': (32,) * 4}


@pytest.mark.parametrize('stride', [1, 2])
def test_equals_the_formulas(stride):
    module = PublishedPSA(64, 64, stride=stride).double()
    x = torch.randn(2, 64, 9, 7, dtype=torch.float64)
    expected = psa(x, module.state_dict(), GROUPS['small'], stride)
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize('arch', ['small', 'large'])
def test_a_backbone_in_the_authors_steps_is_the_same_function(arch):
    network = EPSANet(50, arch).double().eval()
    published = published_formulation(network)
    assert published.state_dict().keys() == network.state_dict().keys()
    x = torch.randn(1, 3, 33, 47, dtype=torch.float64)
    with torch.no_grad():
        expected = epsanet(x, network.state_dict(), GROUPS[arch])
        for theirs, reference in zip(published(x), expected):
            torch.testing.assert_close(theirs, reference, rtol=1e-6, atol=1e-9)


def test_uses_plain_convolutions_alone_and_leaves_the_original():
    network = EPSANet(50)
    published = published_formulation(network)
    convs = [m for m in published.modules() if isinstance(m, torch.nn.Conv2d)]
    assert {type(conv) for conv in convs} == {torch.nn.Conv2d}
    assert type(network.layer1[0].conv2) is PSAModule
