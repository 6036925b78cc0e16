"""EPSANet's blocks are computed in few passes on CPUs, and only where that is the same."""

import copy
from contextlib import contextmanager

import pytest
import torch
from mmdet.models.backbones import ResNet
from norm_statistics import randomise
from torch import nn

from epsanet_mmdet.backbones import EPSANet
from epsanet_mmdet.backbones.epsa_block import EPSABlock
from epsanet_mmdet.benchmark import saved_bytes
from epsanet_mmdet.layers import cpu_kernels

needs_kernel = pytest.mark.skipif(
    cpu_kernels.instruction_set() is None, reason='the kernels were not built'
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


@pytest.fixture
def counted(monkeypatch):
    """How many blocks were computed in few passes, by their method."""
    counts = dict(_forward_fused=0, _forward_training=0)
    for name in counts:

        def call(*arguments, name=name, method=getattr(EPSABlock, name)):
            counts[name] += 1
            return method(*arguments)

        monkeypatch.setattr(EPSABlock, name, call)
    return counts


@contextmanager
def mmdets_sequence():
    """Modules are called one by one, as in mmdet's block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EPSABlock, '_fuses', lambda *_: False)
        patch.setattr(EPSANet, '_fuses_stem', lambda *_: False)
        yield


def assert_close(ours, expected, tolerance):
    for a, b in zip(ours, expected, strict=True):
        scale = b.abs().max().clamp(min=1e-6)
        torch.testing.assert_close(a / scale, b / scale, rtol=0, atol=tolerance)


@needs_kernel
@pytest.mark.parametrize('options', OPTIONS, ids=str)
@torch.no_grad()
def test_in_evaluation_it_is_the_same_function(options, counted):
    model, images = network(**options), torch.randn(2, 3, 61, 90)
    outputs = model(images)
    assert counted == dict(_forward_fused=16, _forward_training=0)
    with mmdets_sequence():
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
def test_in_training_it_is_the_same_function_with_the_same_gradients(options, counted):
    """With frozen statistics, as detectors train; norms that learn are tested by blocks below."""
    model, images = network(norm_eval=True, frozen_stages=-1, **options), torch.randn(2, 3, 61, 90)
    ours = outputs_and_gradients(model.train(), images.clone())
    assert counted == dict(_forward_fused=0, _forward_training=16)
    with mmdets_sequence():
        mmdets = outputs_and_gradients(model, images.clone())
    assert_as_precise(ours, mmdets, outputs_and_gradients(model.double(), images.double()), 1e-4)


@needs_kernel
@pytest.mark.parametrize('arch', ['small', 'large'])
@pytest.mark.parametrize('stage, block', [(1, 0), (1, 1), (3, 0), (4, 2)])
def test_a_block_whose_norms_learn(arch, stage, block, counted):
    ours = network(arch).get_submodule(f'layer{stage}.{block}').train()
    mmdets, exact = copy.deepcopy(ours), copy.deepcopy(ours).double()
    x = torch.randn(3, ours.conv1.in_channels, 14, 10)

    def results(module):
        given = x.to(module.conv1.weight).requires_grad_()
        out = module(given)
        total = (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()
        grads = torch.autograd.grad(total, [given, *module.parameters()])
        return [out, *grads, *(buffer.to(out) for buffer in module.buffers())]

    in_few_passes = results(ours)
    assert counted['_forward_training'] == 1
    with mmdets_sequence():
        assert_as_precise(in_few_passes, results(mmdets), results(exact), 1e-4)


@needs_kernel
def test_frozen_stages_are_computed_as_in_evaluation(counted):
    model = network(frozen_stages=2, norm_eval=True).train()
    outputs = model(torch.randn(1, 3, 64, 64))
    assert counted == dict(_forward_fused=7, _forward_training=9)
    assert [out.requires_grad for out in outputs] == [False, False, True, True]


@needs_kernel
@pytest.mark.parametrize('arch', ['small', 'large'])
@pytest.mark.parametrize('norm_eval', [False, True])
def test_training_saves_no_more_than_resnet_s_does(arch, norm_eval):
    options = dict(norm_eval=norm_eval, frozen_stages=-1)
    images, saved = torch.randn(2, 3, 96, 96), []
    for model in (EPSANet(50, arch, **options), ResNet(50, **options)):
        model.train(True)
        saved.append(saved_bytes(model, lambda model=model: model(images)))
    assert saved[0] <= 1.01 * saved[1]


@torch.no_grad()
def test_large_maps_take_few_passes_without_our_kernels_too(counted, monkeypatch):
    monkeypatch.setattr('epsanet_mmdet.backbones.epsa_block.LARGE_MAP', 64 * 17 * 17)
    model, images = network(), torch.randn(1, 3, 96, 96)
    with cpu_kernels.use_instruction_set(None):
        outputs = model(images)
        assert 0 < counted['_forward_fused'] < 16
        with mmdets_sequence():
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
def test_elsewhere_it_is_mmdet_s_block(change, counted):
    model, images = change(network(), torch.randn(2, 3, 64, 64))
    model(images)
    assert counted == dict(_forward_fused=0, _forward_training=0)


def _checkpointed(model):
    for module in model.modules():
        if isinstance(module, EPSABlock):
            module.with_cp = True
    return model


def _with_synchronised_norms(model):
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


@pytest.mark.parametrize('change', [_checkpointed, _with_synchronised_norms])
def test_elsewhere_it_learns_as_mmdet_s_block(change, counted):
    model = change(network(norm_eval=True, frozen_stages=-1)).train()
    model(torch.randn(2, 3, 64, 64))
    assert counted['_forward_training'] == 0


@torch.no_grad()
def test_plugins_are_called(counted):
    plugin = dict(cfg=dict(type='mmdet.SELayer2d'), position='after_conv2')
    model = network(plugins=[dict(**plugin, stages=(True, False, False, False))])
    model(torch.randn(1, 3, 64, 64))
    without_kernels = cpu_kernels.instruction_set() is None
    assert counted['_forward_fused'] == (0 if without_kernels else 13)


PARTS = ['conv1', 'bn1', 'conv2', 'conv2.conv_4', 'conv2.se', 'bn2', 'conv3', 'bn3', 'relu']


@pytest.mark.parametrize('part', [*PARTS, 'downsample', 'downsample.0', 'downsample.1'])
@pytest.mark.parametrize('learns', [False, True])
def test_hooks_see_what_they_would_see_in_mmdet_s_block(part, learns):
    model = network(frozen_stages=-1, norm_eval=True).train(learns).requires_grad_(learns)
    images, seen = torch.randn(1, 3, 64, 64), []
    model.get_submodule(f'layer2.0.{part}').register_forward_hook(
        lambda m, given, out: seen.append(out.detach().clone())
    )
    outputs = model(images)
    with mmdets_sequence():
        expected = model(images)
    ours, plain = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert len(ours) == len(plain) >= 1
    for a, b in zip([*ours, *outputs], [*plain, *expected]):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', ['conv1', 'relu', 'maxpool', 'bn1'])
@torch.no_grad()
def test_hooks_of_the_stem_are_called(name):
    model, called = network(), []
    getattr(model, name).register_forward_hook(lambda *_: called.append(1))
    model(torch.randn(1, 3, 64, 64))
    assert called == [1]


@needs_kernel
@torch.no_grad()
def test_other_modules_in_a_block_s_places_are_called():
    class Doubled(nn.Conv2d):
        def forward(self, x):
            return 2 * super().forward(x)

    model, images = network(), torch.randn(1, 3, 64, 64)
    expected = model(images)
    block = model.layer1[0]
    doubled = Doubled(64, 64, 1, bias=False)
    doubled.weight.data = block.conv1.weight / 2
    block.conv1 = doubled.eval()
    for ours, theirs in zip(model(images), expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_batch_without_images_learns_nothing():
    model = network(norm_eval=True, frozen_stages=-1).train()
    images = torch.randn(0, 3, 64, 64, requires_grad=True)
    sum(out.sum() for out in model(images)).backward()
    assert images.grad.shape == images.shape


@pytest.mark.parametrize('learns', [False, True])
def test_transforms_of_torch_func_get_torch_s_operators(learns):
    model = network(num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,), norm_eval=True)
    images = torch.randn(3, 2, 3, 32, 32)
    if learns:
        expected = torch.autograd.functional.jacobian(lambda x: model(x)[0].sum(), images[0])
        actual = torch.func.grad(lambda x: model(x)[0].sum())(images[0])
    else:
        expected = torch.stack([model(batch)[0] for batch in images])
        actual = torch.func.vmap(lambda batch: model(batch)[0])(images)
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4)


def test_norms_that_learn_refuse_a_single_value_as_torch_s_do():
    block = network().train().layer4[1].train()
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        block(torch.randn(1, 2048, 1, 1, requires_grad=True))


@needs_kernel
@torch.no_grad()
def test_a_program_traced_from_it_holds_only_torch_s_own_operators():
    stages = dict(num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,))
    model, images = network(**stages), torch.randn(1, 3, 40, 56)
    traced = torch.jit.trace(model, images)
    assert 'epsanet_mmdet::' not in str(traced.inlined_graph)
    torch.testing.assert_close(traced(images)[0], model(images)[0], rtol=1e-4, atol=1e-4)
