"""Ridge regression from sums agrees with ``lstsq`` on all samples, in constant memory."""

import pytest
import torch
import torch.nn.functional as F

from epsanet_mmdet.weight_transfer.least_squares import (
    RIDGES,
    Sums,
    patches,
    regress,
    sample_positions,
)


def samples(count=400, features=12, targets=3, noise=0.1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, features, generator=generator, dtype=torch.float64) + 3
    weight = torch.randn(targets, features, generator=generator, dtype=torch.float64)
    y = x @ weight.T + 5
    return x, y + noise * torch.randn(y.shape, generator=generator, dtype=torch.float64), weight


def parts(x, y, checks=0):
    """Yield samples in parts of unequal size, the last ones to choose the ridge on."""
    sizes = [1, 50, 149, len(x) - 200]
    for i, (a, b) in enumerate(zip(x.split(sizes), y.split(sizes))):
        yield a, b, i >= 4 - checks


def everywhere(x, kernel_size, stride=1):
    height, width = (-(-n // stride) for n in x.shape[2:])
    return sample_positions((len(x), 1, height, width), 1.0, torch.Generator())


@pytest.mark.parametrize('kernel_size', [3, 5, 7, 9])
@pytest.mark.parametrize('stride', [1, 2])
def test_patches_times_weights_are_a_convolution(kernel_size, stride):
    x, weight = torch.randn(2, 4, 11, 8), torch.randn(6, 4, kernel_size, kernel_size)
    seen = patches(x, everywhere(x, kernel_size, stride), kernel_size, stride)
    expected = F.conv2d(x, weight, stride=stride, padding=kernel_size // 2)
    found = seen @ weight.flatten(1).T
    torch.testing.assert_close(found, expected.movedim(1, 3).flatten(0, 2), rtol=1e-4, atol=1e-4)


def test_a_share_of_the_positions_is_drawn_without_repeats():
    image, row, column = sample_positions((3, 8, 5, 7), 0.5, torch.Generator().manual_seed(0))
    drawn = set(zip(image.tolist(), row.tolist(), column.tolist()))
    assert len(drawn) == len(image) == round(3 * 5 * 7 / 2)
    assert image.max() < 3 and row.max() < 5 and column.max() < 7


def test_without_a_ridge_it_is_lstsq_of_stacked_patches():
    x = torch.randn(3, 4, 9, 9, dtype=torch.float64)
    response = torch.randn(3, 5, 9, 9, dtype=torch.float64)
    stacked = patches(x, everywhere(x, 3), 3, 1)
    y = response.movedim(1, 3).flatten(0, 2)
    ones = torch.ones(len(y), 1, dtype=torch.float64)
    expected = torch.linalg.lstsq(torch.cat([stacked, ones], 1), y).solution

    by_image = [
        (patches(one, everywhere(one, 3), 3, 1), other.movedim(1, 3).flatten(0, 2), False)
        for one, other in zip(x.split(1), response.split(1))
    ]
    fit = regress(by_image, torch.zeros(5, 36), ridge=0)
    torch.testing.assert_close(fit.weight.T, expected[:-1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fit.intercept, expected[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('ridge', [0.01, 1.0])
def test_a_ridge_is_lstsq_with_rows_that_pull_to_the_prior(ridge):
    x, y, _ = samples()
    prior = torch.randn(3, 12, dtype=torch.float64)
    found = regress(parts(x, y), prior, ridge).weight
    centred, y = x - x.mean(0), y - y.mean(0)
    rows = torch.diag(ridge**0.5 * centred.norm(dim=0))
    stacked = torch.cat([centred, rows]), torch.cat([y, rows @ prior.T])
    torch.testing.assert_close(found.T, torch.linalg.lstsq(*stacked).solution, rtol=1e-4, atol=1e-4)


def test_merged_sums_are_those_of_all_samples():
    x, y, _ = samples()
    whole, first, second = (Sums(3, 12) for _ in range(3))
    whole.add(x, y)
    for a, b, to_check in parts(x, y, checks=2):
        (second if to_check else first).add(a, b)
    assert (first.count, second.count) == (51, 349)
    first.merge(second)
    for name, value in vars(whole).items():
        torch.testing.assert_close(getattr(first, name), value)


def test_single_precision_far_from_zero_loses_little():
    x, y, weight = samples(noise=0.0)
    found = regress(parts((x + 100).float(), y.float()), torch.zeros(3, 12), ridge=0).weight
    torch.testing.assert_close(found, weight, rtol=1e-3, atol=1e-3)


def test_memory_does_not_grow_with_the_samples():
    def held(sums):
        return sum(v.numel() for v in vars(sums).values() if isinstance(v, torch.Tensor))

    sums, sizes = Sums(3, 12), []
    for seed in range(50):
        x, y, _ = samples(seed=seed)
        sums.add(x, y)
        sizes.append(held(sums))
    assert sums.count == 50 * 400
    assert set(sizes) == {12 * 12 + 12 * 3 + 12 + 2 * 3}


def test_the_ridge_is_chosen_on_separate_samples():
    x, y, weight = samples(count=250, features=60, noise=0.01)
    clean = regress(parts(x, y, checks=1), torch.zeros_like(weight))
    noise = 30 * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    noisy = regress(parts(x, x @ weight.T + noise, checks=1), weight)
    assert clean.ridge == RIDGES[0]
    assert noisy.ridge == RIDGES[-1]


def test_dead_and_repeated_features_are_accepted():
    x, y, _ = samples(noise=0.0)
    x = torch.cat([x, torch.zeros(len(x), 2), x[:, :2]], 1)
    fit = regress(parts(x, y), torch.zeros(3, 16), ridge=RIDGES[0])
    assert fit.weight.isfinite().all()
    torch.testing.assert_close(x @ fit.weight.T + fit.intercept, y, rtol=0, atol=0.1)
