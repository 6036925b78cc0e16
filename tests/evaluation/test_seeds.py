"""Differences over seeds have the confidence intervals of a paired t-test."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from epsanet_mmdet.evaluation.seeds import is_shown, paired_difference, spread


@pytest.mark.parametrize('seeds', [2, 3, 5, 40])
def test_the_interval_is_that_of_a_paired_t_test(seeds):
    rng = np.random.default_rng(seeds)
    own, baseline = rng.normal(0.3, 0.02, seeds), rng.normal(0.28, 0.02, seeds)
    difference = paired_difference(dict(enumerate(own)), dict(enumerate(baseline)))
    test = ttest_rel(own, baseline)
    expected = test.confidence_interval(0.95)
    assert (difference['low'], difference['high']) == pytest.approx((expected.low, expected.high))
    assert difference['mean'] == pytest.approx((own - baseline).mean())
    assert is_shown(difference) == (test.pvalue < 0.05)


def test_about_one_in_twenty_intervals_of_equal_variants_shows_a_difference():
    rng = np.random.default_rng(0)
    draws = rng.normal(0.3, 0.02, (2000, 2, 3))
    pairs = [[dict(enumerate(values)) for values in pair] for pair in draws]
    shown = [is_shown(paired_difference(*pair)) for pair in pairs]
    assert np.mean(shown) == pytest.approx(0.05, abs=0.015)


def test_trainings_are_paired_by_seed():
    difference = paired_difference({7: 0.3, 0: 0.5, 1: 0.1}, {0: 0.4, 7: 0.1, 2: 0.9})
    assert difference['values'] == pytest.approx([0.2, 0.1])
    assert difference['mean'] == pytest.approx(0.15)


def test_a_single_seed_has_no_interval_and_shows_nothing():
    difference = paired_difference({0: 0.9}, {0: 0.1})
    assert difference['low'] is difference['high'] is None
    assert not is_shown(difference)
    assert paired_difference({0: 0.9}, {1: 0.1}) is None


def test_equal_differences_have_an_interval_of_no_width():
    difference = paired_difference({0: 0.5, 1: 0.75}, {0: 0.25, 1: 0.5})
    assert difference['low'] == difference['high'] == 0.25
    assert is_shown(difference)


def test_mean_and_deviation_need_every_value():
    assert spread([0.1, 0.3])['deviation'] == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert spread([0.1])['deviation'] is None
    assert spread([0.1, None]) is None and spread([]) is None
