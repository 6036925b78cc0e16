"""Weights of several images are averaged layer by layer, and by the size of their objects."""

import csv
import io

import numpy as np
import pytest
import torch

from epsanet_mmdet.explain.recording import Gate, Record, Scales
from epsanet_mmdet.explain.summary import GROUPS, Summary, object_size, short_names

KERNELS = (3, 5)


def record(image, *objects, layer='net.layer1.0.conv2'):
    scales = Scales(layer, KERNELS, torch.tensor(image), torch.tensor(objects).reshape(-1, 2))
    return Record([scales], [])


@pytest.mark.parametrize(
    ('box', 'size'),
    [
        ((0, 0, 31, 32), 'small'),
        ((5, 5, 37, 37), 'medium'),
        ((0, 0, 95, 96), 'medium'),
        ((10, 10, 106, 106), 'large'),
        ((7, 7, 7, 7), 'small'),
    ],
)
def test_sizes_are_those_of_coco(box, size):
    assert object_size(box) == size


def test_weights_are_averaged_over_images_and_over_objects_of_a_size():
    summary = Summary()
    summary.add(record((0.2, 0.8), (0.1, 0.9), (0.5, 0.5)), ['small', 'large'])
    summary.add(record((0.4, 0.6), (0.3, 0.7)), ['small'])
    assert summary.counts() == {'whole image': 2, 'small': 2, 'large': 1}
    means = summary.means(KERNELS)
    assert list(means) == [group for group in GROUPS if group != 'medium']
    expected = {'whole image': (0.3, 0.7), 'small': (0.2, 0.8), 'large': (0.5, 0.5)}
    for group, weights in expected.items():
        np.testing.assert_allclose(means[group]['net.layer1.0.conv2'], weights, rtol=1e-6)


def test_the_table_has_a_row_per_layer_kernel_and_group():
    summary = Summary()
    for weights in ((0.2, 0.8), (0.4, 0.6)):
        both = [record(weights, weights, layer=layer) for layer in ('=a', 'b')]
        summary.add(Record([r.scales[0] for r in both], []), ['medium'])
    rows = list(csv.DictReader(io.StringIO(summary.csv())))
    assert len(rows) == 2 * 2 * 2
    assert rows[0] == dict(
        layer="'=a",  # no formula of a spreadsheet
        kernel_size='3',
        branch='1',
        pooled_over='whole image',
        count='2',
        mean_weight='0.30000',
        deviation=f'{np.std([0.2, 0.4], ddof=1):.5f}',
    )
    alone = Summary()
    alone.add(record((0.2, 0.8)), [])
    assert next(csv.DictReader(io.StringIO(alone.csv())))['deviation'] == ''


def test_channels_are_kept_per_image_and_positions_are_not():
    summary = Summary()
    for value in (0.25, 0.75):
        gate = Gate('a', 'SELayer2d', False, torch.full((8,), value), None)
        spatial = Gate('b', 'SpatialAttention2d', False, None, torch.zeros(2, 3))
        summary.add(Record([], [gate, spatial]), [])
    assert list(summary.channels) == ['a'] and np.shape(summary.channels['a']) == (2, 8)
    assert summary.counts() == {} and summary.means(KERNELS) == {}


@pytest.mark.parametrize(
    ('names', 'short'),
    [
        (['backbone.layer1.0.conv2', 'backbone.layer4.2.conv2'], ['layer1.0', 'layer4.2']),
        (['a.x', 'a.x.y'], ['x', 'x.y']),
        (['a.b', 'a.b'], ['a.b', 'a.b']),
        (['only.one'], ['only.one']),
        ([], []),
    ],
)
def test_names_lose_what_they_share_but_never_everything(names, short):
    assert short_names(names) == short
