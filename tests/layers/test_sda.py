"""Selective depth attention weights its depths by a softmax, channel by channel."""

import pytest
import torch

from epsanet_mmdet.layers import SelectiveDepthAttention2d


def maps(depths, channels=16):
    return [torch.randn(2, channels, 5, 7) for _ in range(depths)]


@pytest.mark.parametrize('depths', [1, 3, 12])
def test_weights_of_each_channel_sum_to_1(depths):
    weights = SelectiveDepthAttention2d(16, depths).attention(*maps(depths))
    assert weights.shape == (2, depths, 16, 1, 1) and weights.min() >= 0
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 16, 1, 1))


def test_equal_depths_are_returned_as_they_are():
    (x,) = maps(1)
    torch.testing.assert_close(SelectiveDepthAttention2d(16, 5)(*[x] * 5), x)


def test_a_preferred_depth_is_selected():
    layer, xs = SelectiveDepthAttention2d(16, 3), maps(3)
    torch.nn.init.constant_(layer.fcs[1].bias, 50)
    torch.testing.assert_close(layer(*xs), xs[1])


@pytest.mark.parametrize('channels, hidden', [(256, 64), (1024, 64), (2048, 128)])
def test_hidden_width_is_the_authors(channels, hidden):
    with torch.device('meta'):
        assert SelectiveDepthAttention2d(channels, 2).fc[0].out_channels == hidden


def test_refuses_another_number_of_depths():
    with pytest.raises(ValueError, match='built for 3 depths, but was called with 2'):
        SelectiveDepthAttention2d(16, 3)(*maps(2))


@pytest.mark.parametrize('name', ['depths', 'reduction', 'min_hidden'])
def test_refuses_zeros(name):
    with pytest.raises(ValueError, match=f'{name}=0'):
        SelectiveDepthAttention2d(**{'channels': 16, 'depths': 3, name: 0})
