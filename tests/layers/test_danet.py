"""DANet trains on large maps in little memory, and in half precision without overflow."""

import subprocess
import sys

import pytest
import torch

from epsanet_mmdet.layers import DualAttention2d, PositionAttention2d

# Memory at its peak, over that of a run on a small map. The child is limited, lest a failing
# version fill the machine.
MEASURE = """
import resource, sys, torch
from epsanet_mmdet import layers

resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
torch.set_num_threads(2)
name, channels, height, width = sys.argv[1], *map(int, sys.argv[2:])
layer = getattr(layers, name)(channels)
x = torch.randn(1, channels, height, width, requires_grad=True)
layer(torch.randn(1, channels, 8, 8)).sum().backward()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
layer(x).sum().backward()
print((peak() - before) / 1024)
"""


@pytest.mark.parametrize(
    'name, channels, height, width',
    [
        # An 800x1333 image at the strides 16 and 8. The map of weights would take 70 and 1116 MB.
        ('PositionAttention2d', 512, 50, 84),
        ('PositionAttention2d', 256, 100, 167),
        ('DualAttention2d', 1024, 50, 84),
    ],
)
def test_training_takes_less_than_200_megabytes_extra(name, channels, height, width):
    if sys.platform != 'linux':
        pytest.skip('peak memory is measured on Linux only')
    command = [sys.executable, '-W', 'ignore', '-c', MEASURE, name]
    result = subprocess.run(
        command + [str(channels), str(height), str(width)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout.splitlines()[-1]) < 200  # OneDL prints lines before


def test_position_attention_starts_as_the_identity():
    x = torch.randn(1, 16, 4, 4)
    torch.testing.assert_close(PositionAttention2d(16)(x), x)


def test_half_precision_sums_do_not_overflow():
    layer = DualAttention2d(64).channel[3]
    torch.nn.init.ones_(layer.beta)
    x = torch.full((1, 64, 40, 50), 8.0, dtype=torch.float16)  # A.A = 128000, past float16
    assert layer.half()(x).isfinite().all()


@pytest.mark.parametrize(
    'build, message',
    [
        (lambda: PositionAttention2d(12), 'multiple of 8 channels, but got channels=12'),
        (lambda: DualAttention2d(48), 'divisible by 8 \\* reduction, but got channels=48'),
    ],
)
def test_refuses_channels_that_do_not_fit(build, message):
    with pytest.raises(ValueError, match=message):
        build()
