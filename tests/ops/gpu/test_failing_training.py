"""Where a kernel fails in training, torch computes the same, and training continues."""

import copy
import warnings
from unittest import mock

import pytest
import torch
from fusing import plainly
from norm_statistics import randomise

from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.ops.block import block_parts
from epsanet_mmdet.ops.gpu import epsanet as on_gpu
from epsanet_mmdet.ops.gpu import setting
from epsanet_mmdet.ops.gpu.compute import Compute
from epsanet_mmdet.ops.gpu.plan import FLOAT32, HALF

pytestmark = pytest.mark.interpreted


@pytest.mark.parametrize(
    'kernel, dtype', [('gradient_sums', torch.float32), ('branch_gradients', torch.bfloat16)]
)
def test_gradients(kernel, dtype):
    from epsanet_mmdet.ops.gpu import training

    block = randomise(EPSANet(50, norm_eval=False)).train().layer1[0]
    exact = copy.deepcopy(block).double()
    x = torch.randn(2, 64, 5, 7)
    with plainly():
        expected = exact(x.double())
    weights = torch.linspace(-1, 1, expected.numel()).view_as(expected)
    expected.backward(weights)
    precision = FLOAT32 if dtype == torch.float32 else HALF
    compute = Compute(dtype, precision, 8)
    fails = mock.patch.object(training, kernel, side_effect=RuntimeError('it failed'))
    state = mock.patch.object(setting._State, 'failure', None)
    with state, fails, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        out = training.train_block(block_parts(block, 64), x, compute)
        out.backward(weights.to(out.dtype))
        failure = setting._State.failure
    assert failure == 'RuntimeError: it failed'
    assert len([w for w in caught if 'it failed' in str(w.message)]) == 1
    # In 16 bits, rounding decides whether some ReLUs let through.
    tolerance = 1e-5 if dtype == torch.float32 else 0.1
    for ours, theirs in zip(block.parameters(), exact.parameters()):
        difference = (ours.grad.double() - theirs.grad).norm()
        assert difference <= tolerance * theirs.grad.norm().clamp(min=1)


def test_running_statistics_are_updated_once():
    """Though some norms of the block had been updated when a kernel failed."""
    from epsanet_mmdet.ops.gpu import training

    block = randomise(EPSANet(50, norm_eval=False)).train().layer1[0]
    plain, before = copy.deepcopy(block), copy.deepcopy(block.norm1.running_mean)
    x, compute = torch.randn(2, 64, 4, 5), Compute(torch.float32, FLOAT32, 8)

    def fail(*args):
        assert not block.norm1.running_mean.equal(before)
        raise RuntimeError('it failed')

    with (
        mock.patch.object(setting._State, 'failure', None),
        mock.patch.object(on_gpu, '_compute', lambda x: compute),
        mock.patch.object(on_gpu, '_is_plain', lambda tensors, compute: True),
        mock.patch.object(training, 'affine', fail),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter('ignore')
        assert on_gpu.block_forward(block, x) is None
        assert setting._State.failure == 'RuntimeError: it failed'
    with plainly():
        assert block(x).equal(plain(x))
    for ours, theirs in zip(block.buffers(), plain.buffers(), strict=True):
        assert ours.equal(theirs)
