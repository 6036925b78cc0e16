"""FcaNet pools with the authors' frequencies, on maps of every ResNet stage."""

import pytest
import torch
from layer_references import fca

from epsanet_mmdet.layers import FcaLayer2d


@pytest.mark.parametrize('channels, size', [(256, 56), (512, 28), (1024, 14), (2048, 7)])
def test_knows_the_map_sizes_of_a_resnet(channels, size):
    assert FcaLayer2d(channels).dct_size == size


def test_equals_the_formula_on_resnets_largest_map():
    layer = FcaLayer2d(256)
    x = torch.randn(1, 256, 56, 56)
    expected = fca(x.double(), {k: v.double() for k, v in layer.named_parameters()}, 56)
    torch.testing.assert_close(layer(x).double(), expected, atol=1e-5, rtol=1e-5)


def test_first_frequency_is_the_mean():
    basis = FcaLayer2d(16, dct_size=7).basis
    torch.testing.assert_close(basis[0], torch.full((7, 7), 1 / 7))


def test_basis_is_orthonormal():
    basis = FcaLayer2d(16, dct_size=28).basis.flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(16), atol=1e-5, rtol=0)


def test_basis_is_no_part_of_checkpoints():
    assert set(FcaLayer2d(256).state_dict()) == {'mlp.fc1.weight', 'mlp.fc2.weight'}


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(channels=40), 'multiple of 16 channels, but got channels=40'),
        (dict(channels=64), 'set dct_size'),
        (dict(channels=64, dct_size=6), 'at least 7, but got dct_size=6'),
        (dict(channels=256, dct_size=0), 'at least 7, but got dct_size=0'),
    ],
)
def test_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        FcaLayer2d(**arguments)
