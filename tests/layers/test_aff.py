"""AFF, IAFF and simpler fusions blend their inputs by their formulas."""

import pytest
import torch

from epsanet_mmdet.layers import (
    AFF,
    IAFF,
    GatedSumFusion,
    MSCAM2d,
    PointwiseAFF,
    RefinementFusion,
    check_fusion,
)


def pair():
    return torch.randn(2, 16, 5, 5), torch.randn(2, 16, 5, 5)


def test_without_scale_is_the_papers_formula():
    x, y = pair()
    ours, papers = AFF(16), AFF(16, scale=1)
    papers.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x, y), 2 * papers(x, y))


@pytest.mark.parametrize(
    'fusion',
    [lambda: AFF(16, scale=1), lambda: PointwiseAFF(16, scale=1), lambda: IAFF(16)],
    ids=['aff', 'pointwise', 'iaff'],
)
def test_lies_between_its_inputs(fusion):
    x, y = pair()
    z = fusion()(x, y)
    assert (z >= torch.minimum(x, y) - 1e-6).all() and (z <= torch.maximum(x, y) + 1e-6).all()


def test_refinement_adds_no_more_than_the_residual():
    x, y = pair()
    assert ((RefinementFusion(16)(x, y) - x).abs() <= y.abs() + 1e-6).all()


def test_gated_sum_is_ms_cam_after_an_addition():
    x, y = pair()
    fusion, attention = GatedSumFusion(16), MSCAM2d(16)
    attention.load_state_dict(fusion.state_dict())
    torch.testing.assert_close(fusion(x, y), attention(x + y))


def test_iterations_share_nothing():
    layer = IAFF(16)
    layer(*pair()).sum().backward()
    first, second = dict(layer.weights1.named_parameters()), dict(layer.weights2.named_parameters())
    assert first.keys() == second.keys()
    assert all(first[k] is not second[k] for k in first)


def test_unknown_fusion_is_refused_by_name():
    with pytest.raises(ValueError, match="AFFFPN has no fusion='max'; choose one of 'add', 'aff'"):
        check_fusion('AFFFPN', 'max')
