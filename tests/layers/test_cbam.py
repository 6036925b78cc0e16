"""Spatial attention refuses kernels that cannot keep the size of the map."""

import pytest

from epsanet_mmdet.layers import SpatialAttention2d


def test_refuses_an_even_kernel():
    with pytest.raises(ValueError, match='odd kernel size, but got kernel_size=4'):
        SpatialAttention2d(4)
