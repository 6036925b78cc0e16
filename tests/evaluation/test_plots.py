"""Plots are elements in the colours of the page, with a band over seeds, and text stays text."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from epsanet_mmdet.evaluation.plots import IN_PAGE, band, plot_costs, plot_curves, plot_rows
from epsanet_mmdet.evaluation.sections import join_curves, training_section
from epsanet_mmdet.evaluation.training_log import TrainingLog

EVIL = '</svg><script>alert(1)</script> style="color: #000000" <g id="figure_1">'


def parsed(svg):
    return ElementTree.fromstring(svg.replace('xlink:href', 'href'))


def test_a_plot_has_no_colour_of_its_own_and_no_background():
    curves = {f'c{i}': [{0: i, 1: 2}, {0: 0, 1: i}] for i in range(9)}
    aps = {'a': dict(mean=0.3, low=0.2, high=0.4), 'b': dict(mean=0.2, low=None)}
    costs = {'time': {'a': 2.0, 'b': 1.0}, 'FLOPs': {'a': 1.0, 'b': 1.0}}
    for svg in (
        plot_curves(curves, 'x', 'y', mark=0.5),
        plot_rows({'a': [0.1, 0.3]}, {'a': 0.2}),
        plot_costs(costs, aps),
    ):
        assert not re.search('#[0-9a-f]{6}[;"]', svg)
        used = set(re.findall(r'(?:fill|stroke): (?!none|url)([^;"]*)', svg))
        assert used and used <= set(IN_PAGE.values())


def test_names_cannot_leave_a_plot():
    svg = plot_curves({EVIL: {0: 1, 1: 2}, '_$x_1$': {0: 0}}, 'x', 'y')
    assert '<script' not in svg and svg.count('<svg') == svg.count('</svg>') == 1
    texts = [''.join(text.itertext()).strip() for text in parsed(svg).iter('text')]
    assert '_$x_1$' in texts and any('<script>' in text for text in texts)


def test_plots_of_one_page_share_ids_only_for_the_same_content():
    def named(svg):
        parts = [part for part in parsed(svg).iter() if 'id' in part.attrib]
        return {part.attrib['id']: ElementTree.tostring(part) for part in parts}

    one = named(plot_curves({'a': {0: 1, 1: 2}}, 'x', 'y'))
    other = named(plot_curves({'a': {0: 5, 1: 2}, 'b': {3: 1}}, 'x', 'loss', ylim=(0, 9)))
    assert one and other
    assert all(one[name] == other[name] for name in one.keys() & other.keys())


def test_the_band_is_the_range_of_the_seeds_where_all_have_values():
    x, low, mean, high = band([{1: 2.0, 2: 5.0, 3: 1.0}, {1: 4.0, 3: 2.0}, {1: 3.0, 3: 9.0, 4: 0}])
    assert x == [1, 3]
    np.testing.assert_allclose((low, mean, high), [(2, 1), (3, 4), (4, 9)])


@pytest.mark.parametrize('seeds, bands', [(1, 0), (3, 1)])
def test_a_band_is_drawn_for_several_seeds_only(seeds, bands):
    logs = [TrainingLog({'loss': {1: 1.0 + i, 2: 0.5}}) for i in range(seeds)]
    body = training_section(*logs).body
    assert body.count('fill-opacity: 0.2') == bands
    assert (f'mean and range of {seeds} seeds' in body) == bool(bands)


def test_curves_without_a_common_step_are_left_out():
    joined = join_curves([{'a': {1: 1.0}, 'b': {1: 1.0}}, {'a': {1: 3.0}, 'b': {2: 1.0}}, {}])
    assert joined == {'a': [{1: 1.0}, {1: 3.0}], 'b': [{1: 1.0}]}
