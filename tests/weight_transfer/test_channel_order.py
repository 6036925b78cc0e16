"""Which channel goes where, so that grouped branches keep the most of the donor's energy."""

from itertools import permutations

import numpy as np
import pytest

from epsanet_mmdet.weight_transfer.channel_order import (
    ChannelOrder,
    best_order,
    kept_energy,
    plain_order,
    psa_branches,
)

SMALL = ((3, 5, 7, 9), (1, 4, 8, 16))
LARGE = ((3, 5, 5, 7), (32, 32, 32, 32))


def visible(order, branches, width):
    """Say which donor channel each donor output sees, slot by slot."""
    channels = order.outputs.max() + 1
    seen = np.zeros((channels, channels), bool)
    for branch in branches:
        per_group = width // branch.groups
        for slot in range(branch.start, branch.stop):
            group = (slot - branch.start) // branch.outputs_per_group
            seen[order.outputs[slot], order.inputs[group * per_group : (group + 1) * per_group]] = 1
    return seen


def energies(channels, seed=0):
    return np.exp(2 * np.random.default_rng(seed).normal(size=(channels, channels)))


def test_the_last_branch_gives_the_first_outputs():
    branches = psa_branches(64, *SMALL)
    assert [(b.start, b.stop) for b in branches] == [(48, 64), (32, 48), (16, 32), (0, 16)]
    assert [b.outputs_per_group for b in branches] == [16, 4, 2, 1]


@pytest.mark.parametrize('kind, factor', [(SMALL, 1), (LARGE, 2)])
def test_every_channel_has_its_places(kind, factor):
    width = 64 * factor
    order = best_order(energies(64), psa_branches(width, *kind), width)
    assert set(order.inputs) == set(range(64))
    assert (np.bincount(order.outputs) == factor).all()


@pytest.mark.parametrize('kind, factor', [(SMALL, 1), (LARGE, 2)])
def test_kept_energy_is_that_of_the_visible_channels(kind, factor):
    width, energy = 64 * factor, energies(64)
    branches = psa_branches(width, *kind)
    for order in (plain_order(64, width), best_order(energy, branches, width)):
        expected = (visible(order, branches, width) * energy).sum(1)
        np.testing.assert_allclose(kept_energy(energy, branches, order), expected)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('kind, factor', [(SMALL, 1), (LARGE, 2)])
def test_it_keeps_more_than_the_plain_order_and_than_random_ones(kind, factor, seed):
    width, energy = 64 * factor, energies(64, seed)
    branches = psa_branches(width, *kind)
    kept = kept_energy(energy, branches, best_order(energy, branches, width)).sum()
    random = np.random.default_rng(seed)
    shuffled = [
        ChannelOrder(random.permutation(order), random.permutation(order))
        for order in [np.arange(width) % 64] * 20
    ]
    others = [plain_order(64, width), *shuffled]
    assert kept > 1.1 * max(kept_energy(energy, branches, order).sum() for order in others)


@pytest.mark.parametrize('seed', range(5))
def test_groups_hidden_by_a_permutation_are_found(seed):
    branches = psa_branches(64, *SMALL)
    random = np.random.default_rng(seed)
    hidden = ChannelOrder(random.permutation(64), random.permutation(64))
    energy = visible(hidden, branches, 64) * random.uniform(0.5, 2, (64, 64))
    order = best_order(energy, branches, 64)
    np.testing.assert_allclose(kept_energy(energy, branches, order), energy.sum(1))


@pytest.mark.parametrize('seed', range(5))
def test_groups_hidden_by_a_permutation_are_found_in_a_double_width(seed):
    branches = psa_branches(128, *LARGE)
    random = np.random.default_rng(seed)
    clusters = random.permutation(64) // 4  # a group sees four channels
    energy = (clusters[:, None] == clusters) * random.uniform(0.5, 2, (64, 64))
    energy = energy[random.permutation(64)]
    order = best_order(energy, branches, 128)
    np.testing.assert_allclose(kept_energy(energy, branches, order), energy.sum(1))


def test_a_small_case_comes_near_the_best_of_all_orders():
    branches = psa_branches(4, (3, 5), (1, 2))
    orders = [
        ChannelOrder(np.array(inputs), np.array(outputs))
        for inputs in permutations(range(4))
        for outputs in permutations(range(4))
    ]
    shares = []
    for seed in range(20):
        energy = energies(4, seed)
        best = max(kept_energy(energy, branches, order).sum() for order in orders)
        shares.append(kept_energy(energy, branches, best_order(energy, branches, 4)).sum() / best)
    assert min(shares) > 0.9
    assert np.mean(shares) > 0.98


def test_outputs_that_need_everything_go_to_the_dense_branch():
    energy = np.eye(64)
    needy = np.arange(0, 64, 4)
    energy[needy] = 1
    branches = psa_branches(64, *SMALL)
    order = best_order(energy, branches, 64)
    assert sorted(order.outputs[branches[0].start : branches[0].stop]) == sorted(needy)


def test_the_same_energies_give_the_same_order():
    branches = psa_branches(64, *SMALL)
    first, second = (best_order(energies(64), branches, 64) for _ in range(2))
    np.testing.assert_array_equal(first.inputs, second.inputs)
    np.testing.assert_array_equal(first.outputs, second.outputs)


def test_no_energy_at_all_is_no_fault():
    order = best_order(np.zeros((64, 64)), psa_branches(64, *SMALL), 64)
    assert sorted(order.inputs) == sorted(order.outputs) == list(range(64))
