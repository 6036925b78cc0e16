"""Bidirectional ECA mixes two directions and keeps the parameter names of its checkpoints."""

import torch

from epsanet_mmdet.layers import BidirectionalECA2d


def test_has_the_parameter_names_of_its_checkpoints():
    shapes = {name: tuple(p.shape) for name, p in BidirectionalECA2d(64).named_parameters()}
    assert shapes == {
        'forward_conv.weight': (1, 1, 3),
        'backward_conv.weight': (1, 1, 3),
        'gate.fc1.weight': (4, 64, 1, 1),
        'gate.fc1.bias': (4,),
        'gate.fc2.weight': (2, 4, 1, 1),
        'gate.fc2.bias': (2,),
    }


def test_without_convolutions_every_channel_is_gated_by_the_sigmoid_of_a_half():
    """Both directions are sigmoid(0) then, whatever the gate, and so is their mix."""
    layer = BidirectionalECA2d(64)
    for conv in (layer.forward_conv, layer.backward_conv):
        torch.nn.init.zeros_(conv.weight)
    x = torch.randn(2, 64, 3, 3)
    torch.testing.assert_close(layer(x), x * torch.tensor(0.5).sigmoid())
