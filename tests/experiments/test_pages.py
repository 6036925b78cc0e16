"""Plots of a plan have names of their own, and its page names the weights of each variant."""

import pytest

from epsanet_mmdet.experiments.pages import plot_prefixes, starting_weights
from epsanet_mmdet.experiments.plan import Comparison, Plan, Variant

CONFIG = 'mask-rcnn_resnet50_fpn_small-data'


@pytest.mark.parametrize(
    ('names', 'prefixes'),
    [
        (['Any name'], ['']),
        (['Mask R-CNN', 'RetinaNet'], ['mask-r-cnn-', 'retinanet-']),
        (['A+B', 'A-B', 'C'], ['1-', '2-', '3-']),
        (['A', '++'], ['1-', '2-']),
    ],
)
def test_every_comparison_has_files_of_its_own(names, prefixes):
    assert plot_prefixes(names) == prefixes


@pytest.mark.parametrize(
    ('weights', 'words'),
    [
        ((None, None, None), "the configs'"),
        (('scratch', None, None), 'scratch'),
        ((None, 'r.pth', None), "a: r.pth, b: the configs'"),
        (('scratch', None, 's.pth'), 'a: scratch, b: s.pth'),
    ],
)
def test_the_page_names_the_weights_that_variants_start_from(weights, words):
    common, *own = weights
    variants = [Variant(CONFIG, name=n, weights=w) for n, w in zip('ab', own)]
    plan = Plan([Comparison(variants)], weights=common)
    assert starting_weights(plan) == words
