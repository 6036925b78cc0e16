"""Trainings that are compared differ in nothing but what computes them."""

import pytest
from gpu_loss_curve import RUNS, difference, loss_curves


@pytest.mark.slow(minutes=1)
def test_runs_of_one_seed_are_the_same_where_the_kernels_do_not_apply():
    curves = loss_curves(iterations=2, batch_size=1, size=64, device='cpu')
    assert list(curves) == list(RUNS)
    assert all(len(curve) == 2 for curve in curves.values())
    assert curves['torch'] == curves['torch again'] == curves['kernels'] != curves['another seed']


def test_the_difference_is_that_of_averages():
    flat = [1.0] * 60
    noisy = [1.0 + (-1) ** i for i in range(60)]  # averages out
    stepped = [1.0] * 30 + [1.5] * 30
    assert difference(flat, noisy) == pytest.approx(0, abs=1e-9)
    assert difference(flat, stepped) == pytest.approx(0.5)
    assert difference([1.0, 2.0], [1.0, 1.0]) == pytest.approx(0.5)
