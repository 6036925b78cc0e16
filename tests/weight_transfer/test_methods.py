"""Each method reproduces a narrow teacher better than the one before it."""

import pytest
import torch
from small_teacher import epsanet, hidden_groups, pictures, teacher

from epsanet_mmdet.weight_transfer import (
    METHODS,
    FitSettings,
    measure_reconstruction,
    transplant,
)
from epsanet_mmdet.weight_transfer.images import batches

SETTINGS = FitSettings(positions=4000)


@pytest.fixture(scope='module')
def images():
    return pictures()


def reconstruction(theirs, ours, method, images, settings=SETTINGS):
    permutations = transplant(theirs, ours, method, images, settings)
    return measure_reconstruction(theirs, ours, permutations, batches(images.held_out))


@pytest.fixture(scope='module', params=['small', 'large'])
def starts(request, images):
    return {
        method: reconstruction(teacher(), epsanet(request.param), method, images)
        for method in METHODS
    }


def test_each_method_is_better_than_the_one_before_in_every_stage(starts):
    for worse, better in zip(METHODS, METHODS[1:]):
        for before, after in zip(starts[worse], starts[better]):
            assert after.output > before.output
            assert after.conv2 > before.conv2
    assert min(stage.output_r2 for stage in starts['fit']) > 0.25


@pytest.mark.parametrize('method', ['permute', 'fit'])
def test_a_teacher_with_hidden_groups_is_reproduced(method, images):
    theirs = teacher(mask=hidden_groups)
    for stage in reconstruction(theirs, epsanet(), method, images):
        assert stage.output > 0.98
        assert stage.conv2 > 0.98


def test_hidden_groups_need_the_permutation(images):
    theirs = teacher(mask=hidden_groups)
    assert reconstruction(theirs, epsanet(), 'slice', images)[0].output < 0.8


def test_held_out_images_are_not_used(images):
    theirs, other = teacher(), images._replace(held_out=images.held_out.flip(0) // 2)
    weights = []
    for part in (images, other):
        ours = epsanet()
        transplant(theirs, ours, 'fit', part, FitSettings(positions=500))
        weights.append(ours.state_dict())
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])


def test_a_fitted_network_computes_the_same_in_train_mode(images):
    ours = epsanet(norm_eval=False)
    transplant(teacher(), ours, 'fit', images, SETTINGS)
    (batch,) = batches(torch.cat([images.fit, images.check]), batch_size=32)
    with torch.no_grad():
        expected = ours.train(False)(batch)
        for mine, stage in zip(ours.train(True)(batch), expected):
            assert (mine - stage).norm() < 0.02 * stage.norm()


@pytest.mark.parametrize('method', METHODS)
def test_everything_but_psa_is_copied(method, images):
    theirs, ours = teacher(), epsanet()
    permutations = transplant(theirs, ours, method, images, FitSettings(positions=300))
    torch.testing.assert_close(ours.conv1.weight, theirs.conv1.weight)
    block, its = ours.layer2[0], theirs.layer2[0]
    permutation = permutations['layer2.0']
    torch.testing.assert_close(block.conv1.weight, its.conv1.weight[permutation.inputs])
    if method != 'fit':  # which fits conv3 and the shortcut, and re-estimates all statistics
        torch.testing.assert_close(block.conv3.weight, its.conv3.weight[:, permutation.outputs])
        torch.testing.assert_close(block.downsample[0].weight, its.downsample[0].weight)
        for name in ('weight', 'bias', 'running_mean', 'running_var'):
            torch.testing.assert_close(getattr(block.norm3, name), getattr(its.norm3, name))
        torch.testing.assert_close(block.norm1.weight, its.norm1.weight[permutation.inputs])


def test_an_exact_copy_has_no_reconstruction_error(images):
    theirs, ours = teacher(), epsanet('large', groups=(1, 1, 1, 1))
    for stage in reconstruction(theirs, ours, 'slice', images):
        assert stage.output > 0.999 and stage.output_r2 > 0.999 and stage.conv2 > 0.999


def test_all_zeros_score_zero(images):
    theirs, ours = teacher(), epsanet()
    permutations = transplant(theirs, ours, 'slice')
    for stage in (ours.layer1, ours.layer2):
        for block in stage:
            for norm in (block.norm3, block.norm2):
                torch.nn.init.zeros_(norm.weight)
                torch.nn.init.constant_(norm.bias, -1)
        torch.nn.init.zeros_(stage[0].downsample[1].weight)
        torch.nn.init.zeros_(stage[0].downsample[1].bias)
    for stage in measure_reconstruction(theirs, ours, permutations, batches(images.held_out)):
        assert stage.output == pytest.approx(0) and stage.conv2 == pytest.approx(0)
        assert stage.output_r2 < 0
