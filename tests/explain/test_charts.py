"""Charts draw the weights where they are, and their labels apart."""

import math

import numpy as np
import pytest
import torch

from epsanet_mmdet.explain.charts import GAP, HEIGHT, histogram, scale_chart, scale_limits

LAYERS = [f'net.layer{stage}.{block}.conv2' for stage in (1, 2) for block in range(3)]


@pytest.mark.parametrize('branches', [2, 4, 5])
def test_no_softmax_of_sigmoids_leaves_the_limits(branches):
    low, high = scale_limits(branches)
    scores = 30 * torch.randn(1000, branches, dtype=torch.float64)
    weights = scores.sigmoid().softmax(1)
    assert low <= weights.min() and weights.max() <= high
    extreme = torch.full((branches,), -50.0, dtype=torch.float64)
    extreme[0] = 50
    assert float(extreme.sigmoid().softmax(0).max()) == pytest.approx(high)
    assert float((-extreme).sigmoid().softmax(0).min()) == pytest.approx(low)


def test_lines_are_at_the_weights_on_the_scale_of_the_marks():
    rng = np.random.default_rng(0)
    weights = {layer: rng.uniform(0.2, 0.3, 4) for layer in LAYERS}
    chart = scale_chart('title', weights, ['3×3', '5×5', '7×7', '9×9'], (0.15, 0.35))
    bottom, middle, top = (y for y, _ in chart.levels)
    assert [text for _, text in chart.levels] == ['0.15', '0.25', '0.35']
    assert 0 < top < middle < bottom < HEIGHT
    for i, line in enumerate(chart.lines):
        points = np.array([point.split(',') for point in line.points.split()], float)
        assert (np.diff(points[:, 0]) > 0).all() and len(points) == len(LAYERS)
        shares = (bottom - points[:, 1]) / (bottom - top)
        own = [weights[layer][i] for layer in LAYERS]
        np.testing.assert_allclose(0.15 + 0.2 * shares, own, atol=2e-4)
    assert [text for _, text in chart.stages] == ['layer1', 'layer2']
    assert chart.stages[1][0] == pytest.approx(points[3, 0])


def test_labels_of_equal_lines_do_not_cover_each_other():
    chart = scale_chart('title', {'a': np.full(4, 0.25)}, list('wxyz'), (0.2, 0.3))
    heights = sorted(line.height for line in chart.lines)
    assert min(np.diff(heights)) >= GAP and heights[-1] <= HEIGHT


def test_labels_stay_in_the_chart_where_the_lines_are_low():
    chart = scale_chart('title', {'a': np.full(4, 0.2)}, list('wxyz'), (0.2, 0.3))
    assert max(line.height for line in chart.lines) <= HEIGHT


def test_bins_count_their_values():
    bins = histogram(np.array([0, 0.001, 0.5, 1.0]), 1)
    assert bins[0] == 1 and bins[12] == 0.5 == bins[-1] and sum(bins) == 2
    assert not math.isnan(sum(histogram(np.zeros(0), 1)))
