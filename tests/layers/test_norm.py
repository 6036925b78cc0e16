"""Our batch norms are torch's, except for single values and on several CPU processes."""

import pytest
import torch
from torch import nn

from epsanet_mmdet.layers import CPUSyncBatchNorm2d, PooledBatchNorm2d


def pair(shape):
    ours, torchs = PooledBatchNorm2d(shape[1]), nn.BatchNorm2d(shape[1])
    x = torch.randn(shape) * 3 + 1
    return ours, torchs, x


def test_is_torchs_for_two_values_or_more():
    ours, torchs, x = pair((2, 5, 1, 1))
    torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.state_dict(), torchs.state_dict())


def test_is_torchs_in_evaluation():
    ours, torchs, x = pair((1, 5, 1, 1))
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


def test_one_value_is_normalised_by_running_statistics_and_leaves_them():
    ours, _, x = pair((1, 5, 1, 1))
    ours(torch.randn(4, 5, 3, 3) + 2)
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    torch.testing.assert_close(ours(x), ours.eval()(x))
    torch.testing.assert_close(ours.state_dict(), before)


def test_converts_to_synchronised_batch_norm():
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(PooledBatchNorm2d(4)))
    assert isinstance(converted[0], nn.SyncBatchNorm)


def test_cpu_sync_batch_norm_is_torchs_in_one_process():
    ours, torchs = CPUSyncBatchNorm2d(5), nn.BatchNorm2d(5)
    x = torch.randn(2, 5, 3, 3)
    torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


def test_cpu_sync_batch_norm_in_a_group_is_torchs(gloo):
    ours, torchs = CPUSyncBatchNorm2d(5).double(), nn.BatchNorm2d(5).double()
    x = torch.randn(2, 5, 3, 3, dtype=torch.double) * 3 + 1
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    torch.testing.assert_close(ours(mine), torchs(theirs))
    torch.testing.assert_close(ours.state_dict(), torchs.state_dict())
    ours(mine).square().mul(x).sum().backward()
    torchs(theirs).square().mul(x).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.fixture
def gloo():
    """A process group of this process alone."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()
