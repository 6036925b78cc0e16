"""The four starts on a narrow donor, and what each keeps of its responses."""

import pytest
import torch
from small_donor import donor, epsanet, hidden_groups, pictures

from epsanet_mmdet.weight_transfer import METHODS, FitSettings, response_kept, transplant
from epsanet_mmdet.weight_transfer.images import batches

SETTINGS = FitSettings(positions=4000)


@pytest.fixture(scope='module')
def images():
    return pictures()


def kept(theirs, ours, method, images, settings=SETTINGS):
    orders = transplant(theirs, ours, method, images, settings)
    return response_kept(theirs, ours, orders, batches(images.held_out))


@pytest.fixture(scope='module', params=['small', 'large'])
def starts(request, images):
    return {method: kept(donor(), epsanet(request.param), method, images) for method in METHODS}


def test_each_start_keeps_more_than_the_one_before_in_every_stage(starts):
    for worse, better in zip(METHODS, METHODS[1:]):
        for before, after in zip(starts[worse], starts[better]):
            assert after.output > before.output
            assert after.conv2 > before.conv2
    assert min(stage.output_r2 for stage in starts['fit']) > 0.25


@pytest.mark.parametrize('method', ['permute', 'fit'])
def test_a_donor_with_hidden_groups_is_kept_whole(method, images):
    theirs = donor(mask=hidden_groups)
    for stage in kept(theirs, epsanet(), method, images):
        assert stage.output > 0.98
        assert stage.conv2 > 0.98


def test_cutting_in_the_donors_order_would_not_do(images):
    theirs = donor(mask=hidden_groups)
    assert kept(theirs, epsanet(), 'slice', images)[0].output < 0.8


def test_the_images_held_out_are_not_looked_at(images):
    theirs, other = donor(), images._replace(held_out=images.held_out.flip(0) // 2)
    weights = []
    for part in (images, other):
        ours = epsanet()
        transplant(theirs, ours, 'fit', part, FitSettings(positions=500))
        weights.append(ours.state_dict())
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])


def test_a_fitted_network_computes_the_same_in_train_mode(images):
    ours = epsanet(norm_eval=False)
    transplant(donor(), ours, 'fit', images, SETTINGS)
    (batch,) = batches(torch.cat([images.fit, images.check]), batch_size=32)
    with torch.no_grad():
        expected = ours.train(False)(batch)
        for mine, stage in zip(ours.train(True)(batch), expected):
            assert (mine - stage).norm() < 0.02 * stage.norm()


@pytest.mark.parametrize('starts', ['small'], indirect=True)
def test_fitting_the_last_convolution_as_well_keeps_more(starts, images):
    alone = FitSettings(positions=4000, refit_conv3=False)
    for less, more in zip(kept(donor(), epsanet(), 'fit', images, alone), starts['fit']):
        assert more.output > less.output


@pytest.mark.parametrize('method', METHODS)
def test_all_but_psa_carries_over(method, images):
    theirs, ours = donor(), epsanet()
    orders = transplant(theirs, ours, method, images, FitSettings(positions=300, refit_conv3=False))
    torch.testing.assert_close(ours.conv1.weight, theirs.conv1.weight)
    block, its = ours.layer2[0], theirs.layer2[0]
    order = orders['layer2.0']
    torch.testing.assert_close(block.conv1.weight, its.conv1.weight[order.inputs])
    torch.testing.assert_close(block.conv3.weight, its.conv3.weight[:, order.outputs])
    torch.testing.assert_close(block.downsample[0].weight, its.downsample[0].weight)
    if method != 'fit':  # which re-estimates statistics, so scales and shifts as well
        for name in ('weight', 'bias', 'running_mean', 'running_var'):
            torch.testing.assert_close(getattr(block.norm3, name), getattr(its.norm3, name))
        torch.testing.assert_close(block.norm1.weight, its.norm1.weight[order.inputs])


def test_the_response_of_the_donor_itself_is_kept_whole(images):
    theirs, ours = donor(), epsanet('large', groups=(1, 1, 1, 1))
    for stage in kept(theirs, ours, 'slice', images):
        assert stage.output > 0.999 and stage.output_r2 > 0.999 and stage.conv2 > 0.999


def test_a_response_of_zero_keeps_nothing(images):
    theirs, ours = donor(), epsanet()
    orders = transplant(theirs, ours, 'slice')
    for stage in (ours.layer1, ours.layer2):
        for block in stage:
            for norm in (block.norm3, block.norm2):
                torch.nn.init.zeros_(norm.weight)
                torch.nn.init.constant_(norm.bias, -1)
        torch.nn.init.zeros_(stage[0].downsample[1].weight)
        torch.nn.init.zeros_(stage[0].downsample[1].bias)
    for stage in response_kept(theirs, ours, orders, batches(images.held_out)):
        assert stage.output == pytest.approx(0) and stage.conv2 == pytest.approx(0)
        assert stage.output_r2 < 0
