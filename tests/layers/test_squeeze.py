"""The squeeze MLP has the parameter names of the authors' code."""

import pytest

from epsanet_mmdet.layers import SqueezeMLP


def test_has_the_parameter_names_of_the_authors_code():
    names = {'fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias'}
    assert set(SqueezeMLP(32).state_dict()) == names


def test_refuses_no_reduction():
    with pytest.raises(ValueError, match='reduction=0'):
        SqueezeMLP(32, 0)
