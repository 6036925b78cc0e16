"""The hidden width of coordinate attention follows the paper."""

import pytest

from epsanet_mmdet.layers import CoordAttention2d


@pytest.mark.parametrize('channels, hidden', [(64, 8), (256, 8), (512, 16), (2048, 64)])
def test_hidden_width_is_at_least_8(channels, hidden):
    assert CoordAttention2d(channels).conv1.out_channels == hidden
