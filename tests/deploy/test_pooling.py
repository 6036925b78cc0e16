"""Adaptive pooling as matrix products equals torch's."""

import pytest
import torch
from torch import nn

from epsanet_mmdet.deploy.pooling import PoolByProducts, pool_adaptively


@pytest.mark.parametrize('size', [1, 7, (3, 5), (56, 7)])
@pytest.mark.parametrize('height, width', [(7, 7), (20, 33), (5, 56)])
def test_equals_adaptive_avg_pool2d(size, height, width):
    x = torch.randn(2, 4, height, width)
    expected = nn.functional.adaptive_avg_pool2d(x, size)
    torch.testing.assert_close(pool_adaptively(x, size), expected, atol=1e-5, rtol=1e-5)


def test_replaces_the_pooling_of_modules_while_it_is_active(monkeypatch):
    calls = []
    monkeypatch.setattr(
        'epsanet_mmdet.deploy.pooling.pool_adaptively', lambda *args: calls.append(args) or args[0]
    )
    layer, x = nn.AdaptiveAvgPool2d(3), torch.randn(1, 2, 9, 9)
    with PoolByProducts():
        assert layer(x) is x
    assert layer(x).shape == (1, 2, 3, 3) and len(calls) == 1
