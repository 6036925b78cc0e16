"""The permutation lets grouped branches keep most of the energy of the teacher's filters."""

from itertools import permutations

import numpy as np
import pytest

from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.weight_transfer.permutation import (
    Permutation,
    best_permutation,
    branches_of,
    identity_permutation,
)

SMALL = dict(kernel_sizes=(3, 5, 7, 9), groups=(1, 4, 8, 16))
LARGE = dict(kernel_sizes=(3, 5, 5, 7), groups=(32, 32, 32, 32))
KINDS = pytest.mark.parametrize('kind, factor', [(SMALL, 1), (LARGE, 2)], ids=['small', 'large'])


def branches_for(width, kind):
    return branches_of(PSAModule(width, width, **kind))


def visible(permutation, branches):
    """Return which teacher's inputs (columns) the copies of each output (rows) see together."""
    channels = permutation.outputs.max() + 1
    seen = np.zeros((channels, channels), bool)
    for branch in branches:
        inputs = permutation.inputs.reshape(branch.groups, -1)
        outputs = permutation.outputs[branch.start : branch.stop].reshape(branch.groups, -1)
        for rows, columns in zip(outputs, inputs):
            seen[np.ix_(rows, columns)] = 1
    return seen


def kept(energy, branches, permutation):
    return (visible(permutation, branches) * energy).sum()


def energies(channels, seed=0):
    return np.exp(2 * np.random.default_rng(seed).normal(size=(channels, channels)))


def test_the_last_branch_computes_the_first_outputs():
    branches = branches_for(64, SMALL)
    assert [(b.start, b.stop) for b in branches] == [(48, 64), (32, 48), (16, 32), (0, 16)]
    assert [b.conv.kernel_size[0] for b in branches] == [3, 5, 7, 9]


@KINDS
def test_every_channel_appears_once_or_twice(kind, factor):
    width = 64 * factor
    order = best_permutation(energies(64), branches_for(width, kind))
    assert set(order.inputs) == set(range(64))
    assert (np.bincount(order.outputs) == factor).all()


@pytest.mark.parametrize('seed', range(4))
@KINDS
def test_it_keeps_more_than_the_identity_and_random_ones(kind, factor, seed):
    width, energy = 64 * factor, energies(64, seed)
    branches = branches_for(width, kind)
    best = kept(energy, branches, best_permutation(energy, branches))
    random = np.random.default_rng(seed)
    shuffled = [
        Permutation(random.permutation(order), random.permutation(order))
        for order in [np.arange(width) % 64] * 20
    ]
    others = [identity_permutation(64, width), *shuffled]
    assert best > 1.1 * max(kept(energy, branches, order) for order in others)


@pytest.mark.parametrize('seed', range(5))
def test_groups_hidden_by_a_permutation_are_found(seed):
    branches = branches_for(64, SMALL)
    random = np.random.default_rng(seed)
    hidden = Permutation(random.permutation(64), random.permutation(64))
    energy = visible(hidden, branches) * random.uniform(0.5, 2, (64, 64))
    order = best_permutation(energy, branches)
    assert kept(energy, branches, order) == pytest.approx(energy.sum())


@pytest.mark.parametrize('seed', range(5))
def test_groups_hidden_by_a_permutation_are_found_in_a_double_width(seed):
    branches = branches_for(128, LARGE)
    random = np.random.default_rng(seed)
    clusters = random.permutation(64) // 4  # a group sees four channels
    energy = (clusters[:, None] == clusters) * random.uniform(0.5, 2, (64, 64))
    energy = energy[random.permutation(64)]
    order = best_permutation(energy, branches)
    assert kept(energy, branches, order) == pytest.approx(energy.sum())


def test_it_is_near_the_optimum_of_a_small_case():
    branches = branches_for(4, dict(kernel_sizes=(3, 5), groups=(1, 2)))
    orders = [
        Permutation(np.array(inputs), np.array(outputs))
        for inputs in permutations(range(4))
        for outputs in permutations(range(4))
    ]
    shares = []
    for seed in range(20):
        energy = energies(4, seed)
        best = max(kept(energy, branches, order) for order in orders)
        shares.append(kept(energy, branches, best_permutation(energy, branches)) / best)
    assert min(shares) > 0.9
    assert np.mean(shares) > 0.98


def test_outputs_that_need_all_inputs_are_assigned_to_the_dense_branch():
    energy = np.eye(64)
    needy = np.arange(0, 64, 4)
    energy[needy] = 1
    branches = branches_for(64, SMALL)
    order = best_permutation(energy, branches)
    assert sorted(order.outputs[branches[0].start : branches[0].stop]) == sorted(needy)


def test_it_is_deterministic():
    branches = branches_for(64, SMALL)
    first, second = (best_permutation(energies(64), branches) for _ in range(2))
    np.testing.assert_array_equal(first.inputs, second.inputs)
    np.testing.assert_array_equal(first.outputs, second.outputs)


def test_zero_energy_is_accepted():
    order = best_permutation(np.zeros((64, 64)), branches_for(64, SMALL))
    assert sorted(order.inputs) == sorted(order.outputs) == list(range(64))
