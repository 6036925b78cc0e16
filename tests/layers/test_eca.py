"""ECA has the kernel size of its formula, and its variations the names of their checkpoints."""

import pytest
import torch

from epsanet_mmdet.layers import BidirectionalECA2d, DynamicMultiKernelECA2d, ECALayer2d


@pytest.mark.parametrize(
    'channels, size', [(1, 1), (8, 3), (64, 3), (128, 5), (256, 5), (512, 5), (1024, 5), (2048, 7)]
)
def test_kernel_size_follows_the_channels(channels, size):
    # int(|log2(C) / 2 + 1 / 2|) is 0, 2, 3, 4, 4, 5, 5, 6; even ones are raised by one.
    assert ECALayer2d(channels).conv.kernel_size == (size,)


def test_kernel_size_can_be_set():
    assert ECALayer2d(256, kernel_size=3).conv.kernel_size == (3,)


@pytest.mark.parametrize('size', [4, 0, -1])
def test_refuses_a_kernel_that_is_not_odd(size):
    with pytest.raises(ValueError, match=f'odd kernel size, but got kernel_size={size}'):
        ECALayer2d(256, kernel_size=size)


@pytest.mark.parametrize('gamma', [0, -2])
def test_a_divisor_that_is_not_positive_is_refused(gamma):
    with pytest.raises(ValueError, match=f'gamma above 0, but got gamma={gamma}'):
        ECALayer2d(256, gamma=gamma)


def test_bidirectional_eca_has_the_parameter_names_of_its_checkpoints():
    shapes = {name: tuple(p.shape) for name, p in BidirectionalECA2d(64).named_parameters()}
    assert shapes == {
        'forward_conv.weight': (1, 1, 3),
        'backward_conv.weight': (1, 1, 3),
        'gate.fc1.weight': (4, 64, 1, 1),
        'gate.fc1.bias': (4,),
        'gate.fc2.weight': (2, 4, 1, 1),
        'gate.fc2.bias': (2,),
    }


def test_bidirectional_eca_without_convolutions_gates_every_channel_by_the_sigmoid_of_a_half():
    """Both directions are sigmoid(0) then, whatever the gate, and so is their mix."""
    layer = BidirectionalECA2d(64)
    for conv in (layer.forward_conv, layer.backward_conv):
        torch.nn.init.zeros_(conv.weight)
    x = torch.randn(2, 64, 3, 3)
    torch.testing.assert_close(layer(x), x * torch.tensor(0.5).sigmoid())


def test_dynamic_multi_kernel_eca_has_the_parameter_names_of_its_checkpoints():
    shapes = {name: tuple(p.shape) for name, p in DynamicMultiKernelECA2d(64).named_parameters()}
    assert shapes == {
        'conv3.weight': (64, 1, 3),
        'conv5.weight': (64, 1, 5),
        'conv7.weight': (64, 1, 7),
        'fc.weight': (3, 64),
        'fc.bias': (3,),
    }
