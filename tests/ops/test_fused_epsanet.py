"""EPSANet's blocks are computed in few passes on CPUs, and only where that is the same."""

import copy

import pytest
import torch
from closeness import assert_close
from fusing import counted, plainly
from mmdet.models.backbones import ResNet
from norm_statistics import randomise
from torch import nn

from epsanet_mmdet.benchmark import activation_bytes
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.models.epsanet import EPSABlock
from epsanet_mmdet.ops.block import block_parts
from epsanet_mmdet.ops.cpu import kernels

needs_kernel = pytest.mark.skipif(
    kernels.instruction_set() is None, reason='the kernels were not built'
)
OPTIONS = [
    dict(),
    dict(arch='large'),
    dict(style='caffe'),
    dict(avg_down=True),
    dict(deep_stem=True),
    dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
]


def network(arch='small', **options):
    torch.manual_seed(0)
    return randomise(EPSANet(50, arch, **options)).eval()


@needs_kernel
@pytest.mark.parametrize('options', OPTIONS, ids=str)
@torch.no_grad()
def test_in_evaluation_it_is_the_same_function(options):
    model, images = network(**options), torch.randn(2, 3, 61, 90)
    with counted() as fused:
        outputs = model(images)
    assert fused['EPSABlock'] == 16
    assert fused['EPSANet'] == (0 if options.get('deep_stem') else 1)
    with plainly():
        assert_close(outputs, model(images), 1e-5)


def error(actual, expected):
    """Of all but a few in a hundred: where rounding decides whether a ReLU lets through."""
    difference = (actual.double() - expected).abs().flatten()
    count = len(difference) - len(difference) // 50
    return (difference.kthvalue(count).values / expected.abs().max().clamp(min=1e-6)).item()


def assert_as_precise(ours, mmdets, expected, tolerance):
    """As close to double precision as mmdet's sequence, or as the tolerance."""
    for a, b, exact in zip(ours, mmdets, expected, strict=True):
        assert error(a, exact) <= max(tolerance, 4 * error(b, exact))


def outputs_and_gradients(model, images):
    model.zero_grad()
    outputs = model(images.requires_grad_())
    # Pixels of one channel that all weigh the same would have no gradient before a norm.
    sum((out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum() for out in outputs).backward()
    return [*outputs, images.grad, *(p.grad.clone() for p in model.parameters())]


@needs_kernel
@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_in_training_it_is_the_same_function_with_the_same_gradients(options):
    """With frozen statistics, as detectors train; norms that learn are tested by blocks below."""
    model, images = network(norm_eval=True, frozen_stages=-1, **options), torch.randn(2, 3, 61, 90)
    with counted() as fused:
        ours = outputs_and_gradients(model.train(), images.clone())
    assert fused['EPSABlock'] == 16
    with plainly():
        mmdets = outputs_and_gradients(model, images.clone())
    assert_as_precise(ours, mmdets, outputs_and_gradients(model.double(), images.double()), 1e-4)


@needs_kernel
@pytest.mark.parametrize('arch', ['small', 'large'])
@pytest.mark.parametrize('stage, block', [(1, 0), (1, 1), (3, 0), (4, 2)])
def test_a_block_whose_norms_learn(arch, stage, block):
    ours = network(arch).get_submodule(f'layer{stage}.{block}').train()
    mmdets, exact = copy.deepcopy(ours), copy.deepcopy(ours).double()
    x = torch.randn(3, ours.conv1.in_channels, 14, 10)

    def results(module):
        given = x.to(module.conv1.weight).requires_grad_()
        out = module(given)
        total = (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()
        grads = torch.autograd.grad(total, [given, *module.parameters()])
        return [out, *grads, *(buffer.to(out) for buffer in module.buffers())]

    with counted() as fused:
        in_few_passes = results(ours)
    assert fused['EPSABlock'] == 1
    with plainly():
        assert_as_precise(in_few_passes, results(mmdets), results(exact), 1e-4)


@needs_kernel
def test_frozen_stages_are_computed_without_gradients():
    model = network(frozen_stages=2, norm_eval=True).train()
    with counted() as fused:
        outputs = model(torch.randn(1, 3, 64, 64))
    assert fused['EPSABlock'] == 16
    assert [out.requires_grad for out in outputs] == [False, False, True, True]


@needs_kernel
@pytest.mark.parametrize('arch', ['small', 'large'])
@pytest.mark.parametrize('norm_eval', [False, True])
def test_training_saves_no_more_than_resnet_s_does(arch, norm_eval):
    options = dict(norm_eval=norm_eval, frozen_stages=-1)
    images, saved = torch.randn(2, 3, 96, 96), []
    for model in (EPSANet(50, arch, **options), ResNet(50, **options)):
        model.train(True)
        saved.append(activation_bytes(model, lambda model=model: model(images)))
    assert saved[0] <= 1.01 * saved[1]


@torch.no_grad()
def test_large_maps_take_few_passes_without_our_kernels_too():
    model, images = network(), torch.randn(1, 3, 488, 488)
    with kernels.use_instruction_set(None):
        with counted() as fused:
            outputs = model(images)
        assert 0 < fused['EPSABlock'] < 16
        with plainly():
            assert_close(outputs, model(images), 1e-5)


def _in_bfloat16(model, images):
    return model.bfloat16(), images.bfloat16()


def _norms_that_learn_without_gradients(model, images):
    model.norm_eval = False
    return model.train(), images


def _channels_last(model, images):
    return model, images.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    'change', [_in_bfloat16, _norms_that_learn_without_gradients, _channels_last]
)
@torch.no_grad()
def test_elsewhere_it_is_mmdet_s_block(change):
    model, images = change(network(), torch.randn(2, 3, 64, 64))
    with counted() as fused:
        model(images)
    assert fused['EPSABlock'] == 0


def _checkpointed(model):
    for module in model.modules():
        if isinstance(module, EPSABlock):
            module.with_cp = True
    return model


def _with_synchronised_norms(model):
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


@pytest.mark.parametrize('change', [_checkpointed, _with_synchronised_norms])
def test_elsewhere_it_learns_as_mmdet_s_block(change):
    model = change(network(norm_eval=True, frozen_stages=-1)).train()
    with counted() as fused:
        model(torch.randn(2, 3, 64, 64))
    assert fused['EPSABlock'] == 0


@pytest.mark.parametrize('attention_type', ['sigmoid', 'none'])
def test_other_attention_than_a_softmax_is_computed_as_in_mmdet_s_block(attention_type):
    options = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))
    model = network(attention_type=attention_type, frozen_stages=-1, **options)
    assert block_parts(model.layer1[0], 64) is None, 'nothing else knows the parts, on GPUs too'
    images = torch.randn(2, 3, 61, 90)
    for training in (False, True):
        model.train(training)
        with counted() as fused:
            ours = outputs_and_gradients(model, images.clone())
        assert fused['EPSABlock'] == fused['PSAModule'] == 0
        with plainly():
            assert_close(ours, outputs_and_gradients(model, images.clone()), 1e-4)
    with torch.no_grad(), counted() as fused:
        evaluated = model.eval()(images)
    assert fused['EPSABlock'] == fused['PSAModule'] == 0
    with torch.no_grad(), plainly():
        assert_close(evaluated, model(images), 1e-5)


@needs_kernel
@torch.no_grad()
def test_attention_that_changes_after_the_first_pass_is_used():
    options = dict(num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,))
    model, images = network(**options), torch.randn(2, 3, 61, 90)
    before = model(images)[0]
    model.layer1[0].conv2.attention_type = 'sigmoid'
    with counted() as fused:
        after = model(images)[0]
    assert fused['EPSABlock'] == 2
    with plainly():
        assert_close(after, model(images)[0], 1e-5)
    assert not after.allclose(before, rtol=0.01)


@torch.no_grad()
def test_plugins_are_called():
    plugin = dict(cfg=dict(type='mmdet.SELayer2d'), position='after_conv2')
    model = network(plugins=[dict(**plugin, stages=(True, False, False, False))])
    with counted() as fused:
        model(torch.randn(1, 3, 64, 64))
    without_kernels = kernels.instruction_set() is None
    assert fused['EPSABlock'] == (0 if without_kernels else 13)


def test_a_batch_without_images_learns_nothing():
    model = network(norm_eval=True, frozen_stages=-1).train()
    images = torch.randn(0, 3, 64, 64, requires_grad=True)
    sum(out.sum() for out in model(images)).backward()
    assert images.grad.shape == images.shape


def test_norms_that_learn_refuse_a_single_value_as_torch_s_do():
    block = network().train().layer4[1].train()
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        block(torch.randn(1, 2048, 1, 1, requires_grad=True))


@needs_kernel
@pytest.mark.parametrize(
    'norm',
    [
        nn.SyncBatchNorm(256),
        nn.GroupNorm(2, 256),
        nn.BatchNorm2d(256, affine=False),
        nn.BatchNorm2d(256, track_running_stats=False),
    ],
    ids=lambda norm: type(norm).__name__,
)
def test_only_complete_batch_norms_learn_in_few_passes(norm):
    block = network().layer1[1].train()
    block.bn3 = norm.eval()
    with counted() as fused:
        block(torch.randn(2, 256, 8, 8, requires_grad=True))
    assert fused['EPSABlock'] == 0
