"""A pass that fails is an error of one line that names the network, the task and the size."""

import pytest
import torch

from epsanet_mmdet.benchmark import Input
from epsanet_mmdet.benchmark.failure import naming
from epsanet_mmdet.errors import ArgumentError, ConfigError

SIZE = Input(64, 800, 1333)


@pytest.mark.parametrize(
    'error, named',
    [
        (
            torch.OutOfMemoryError('CUDA out of memory.\nTried to allocate ...'),
            'runs out of memory in training at 64x3x800x1333; use a smaller batch',
        ),
        (ValueError('too small\nfor this'), 'fails in .*: ValueError: too small$'),
        (
            RuntimeError("backend='inductor' raised:\nRuntimeError: no compiler\n\nSet ..."),
            "backend='inductor' raised: RuntimeError: no compiler$",
        ),
    ],
    ids=['memory', 'other', 'compiler'],
)
def test_names_the_pass_and_the_reason(error, named):
    with pytest.raises(ConfigError, match=f'^epsanet50-l .*{named}') as caught:
        with naming('epsanet50-l', 'training', SIZE):
            raise error
    assert '\n' not in str(caught.value)


def test_errors_for_users_stay_as_they_are():
    with pytest.raises(ArgumentError, match='^precision'):
        with naming('epsanet50-l', 'training', SIZE):
            raise ArgumentError('precision fp8')
