"""The seam: a registered implementation may stand in for a layer's own forward, or decline."""

import pytest
import torch
from torch import nn

from epsanet_mmdet.layers.fusable import FUSED, fusable


@pytest.fixture
def doubling():
    """A layer, and a place to register its faster implementation."""

    @fusable
    class Doubling(nn.Module):
        """Double."""

        def forward(self, x):
            return 2 * x

    yield Doubling
    FUSED.pop(Doubling, None)


def test_without_an_implementation_a_layer_computes_by_its_own_forward(doubling):
    assert doubling()(torch.tensor(3)) == 6
    assert doubling.__name__ == 'Doubling' and doubling.__doc__ == 'Double.'


def test_an_implementation_computes_instead_unless_it_declines(doubling):
    layer = doubling()
    FUSED[doubling] = lambda module, x: None if x < 0 else (module is layer) * 100 * x
    assert layer(torch.tensor(3)) == 300
    assert layer(torch.tensor(-3)) == -6


def test_what_is_inherited_is_looked_up_when_it_is_called(doubling, monkeypatch):
    @fusable
    class Heir(doubling):
        pass

    assert Heir()(torch.tensor(3)) == 6
    monkeypatch.setattr(doubling, 'forward', lambda self, x: 7 * x)
    assert Heir()(torch.tensor(3)) == 21


def test_subclasses_inherit_it_and_their_own_forward_comes_first(doubling):
    class Plain(doubling):
        pass

    class Own(doubling):
        def forward(self, x):
            return -super().forward(x)

    FUSED[doubling] = lambda module, x: 100 * x
    assert Plain()(torch.tensor(3)) == 300
    assert Own()(torch.tensor(3)) == -300


def test_a_layer_takes_its_input_by_name_too(doubling):
    assert doubling()(x=torch.tensor(3)) == 6
