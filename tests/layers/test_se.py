"""SE has the published numbers of parameters, and its MLP the names of the authors' code."""

import pytest
import torch

from epsanet_mmdet.layers import SELayer2d, SqueezeMLP


def test_has_no_bias_by_default():
    assert sum(p.numel() for p in SELayer2d(256).parameters()) == 2 * 256 * 16


def test_with_bias_is_the_papers():
    parameters = {n: tuple(p.shape) for n, p in SELayer2d(256, bias=True).named_parameters()}
    assert parameters['se.fc1.bias'] == (16,) and parameters['se.fc2.bias'] == (256,)


def test_fewer_channels_than_the_reduction_leave_one_hidden():
    assert SELayer2d(8).se.fc1.out_channels == 1
    assert SELayer2d(8)(torch.ones(1, 8, 2, 2)).shape == (1, 8, 2, 2)


def test_its_mlp_has_the_parameter_names_of_the_authors_code():
    names = {'fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias'}
    assert set(SqueezeMLP(32).state_dict()) == names


def test_its_mlp_refuses_a_reduction_of_0():
    with pytest.raises(ValueError, match='reduction=0'):
        SqueezeMLP(32, 0)
