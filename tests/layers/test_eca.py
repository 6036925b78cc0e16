"""The kernel size of ECA follows the number of channels or the argument."""

import pytest

from epsanet_mmdet.layers import ECALayer2d


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
