"""The attention kernel is the SE module's softmax over the branches, times the norm's scale."""

import pytest
import torch
from closeness import assert_close
from gpu_cases import unwritten

from epsanet_mmdet.layers import PSAModule

pytestmark = pytest.mark.interpreted


@pytest.mark.parametrize('rows', [1, 2, 83])
@pytest.mark.parametrize('channels, branches', [(64, 4), (128, 4), (512, 4), (64, 2)])
@torch.no_grad()
def test_attention(channels, branches, rows):
    from epsanet_mmdet.ops.gpu.attention import scaled_attention

    width, pixels = channels // branches, 35
    psa = PSAModule(channels, channels, (3, 5, 7, 9)[:branches], (1,) * branches)
    psa.se.fc1.bias.fill_(1)  # the ReLU after it lets something through
    squeeze = [psa.se.fc1.weight, psa.se.fc1.bias, psa.se.fc2.weight, psa.se.fc2.bias]
    squeeze = [t.flatten(1).contiguous() if t.dim() > 1 else t for t in squeeze]
    sums, scale = 5 * torch.randn(3, rows, channels), torch.randn(channels)
    out = unwritten(3, channels)
    scaled_attention(sums, squeeze, scale, out, branches, pixels)
    psa = psa.double()
    means = (sums.double().sum(1) / pixels).unflatten(1, (branches, width))
    scores = torch.stack([psa.se(mean[..., None, None]).flatten(1) for mean in means.unbind(1)], 1)
    assert_close(out, scores.sigmoid().softmax(1).flatten(1) * scale.double(), 1e-5)
