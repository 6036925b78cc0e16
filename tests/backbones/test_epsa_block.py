"""EPSANet's blocks are computed in few passes in evaluation on CPUs, and only there."""

import pytest
import torch
from norm_statistics import randomise
from torch import nn

from epsanet_mmdet.backbones import EPSANet
from epsanet_mmdet.backbones.epsa_block import EPSABlock
from epsanet_mmdet.layers import cpu_kernels

needs_kernel = pytest.mark.skipif(
    cpu_kernels.instruction_set() is None, reason='the kernels were not built'
)


def network(arch='small', **options):
    torch.manual_seed(0)
    return randomise(EPSANet(50, arch, **options)).eval()


def fused_blocks(model, images, monkeypatch):
    """Outputs, and how many blocks were computed in few passes."""
    count = []
    fused = EPSABlock._forward_fused
    with monkeypatch.context() as patch:
        patch.setattr(EPSABlock, '_forward_fused', lambda *a: count.append(1) or fused(*a))
        return model(images), len(count)


@needs_kernel
@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(arch='large'),
        dict(style='caffe'),
        dict(avg_down=True),
        dict(deep_stem=True),
        dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
    ],
    ids=str,
)
@torch.no_grad()
def test_it_is_the_same_function(options, monkeypatch):
    model, images = network(**options), torch.randn(2, 3, 61, 90)
    outputs, fused = fused_blocks(model, images, monkeypatch)
    assert fused == 16
    with cpu_kernels.use_instruction_set(None):
        plain, none = fused_blocks(model, images, monkeypatch)
    assert none == 0
    for ours, expected in zip(outputs, plain):
        scale = expected.abs().max()
        torch.testing.assert_close(ours / scale, expected / scale, rtol=0, atol=1e-5)


def _in_bfloat16(model, images):
    return model.bfloat16(), images.bfloat16()


def _with_gradients(model, images):
    torch.set_grad_enabled(True)
    return model, images


def _learning_norms(model, images):
    return network(norm_eval=False).train(), images


def _channels_last(model, images):
    return model, images.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('change', [_in_bfloat16, _with_gradients, _learning_norms, _channels_last])
@torch.no_grad()
def test_elsewhere_it_is_mmdet_s_block(change, monkeypatch):
    model, images = change(network(), torch.randn(2, 3, 64, 64))
    assert fused_blocks(model, images, monkeypatch)[1] == 0


@torch.no_grad()
def test_plugins_are_called(monkeypatch):
    plugin = dict(cfg=dict(type='mmdet.SELayer2d'), position='after_conv2')
    model = network(plugins=[dict(**plugin, stages=(True, False, False, False))])
    fused = fused_blocks(model, torch.randn(1, 3, 64, 64), monkeypatch)[1]
    assert fused == (0 if cpu_kernels.instruction_set() is None else 13)


PARTS = ['conv1', 'bn1', 'conv2', 'conv2.conv_4', 'conv2.se', 'bn2', 'conv3', 'bn3', 'relu']


@pytest.mark.parametrize('part', [*PARTS, 'downsample', 'downsample.0', 'downsample.1'])
@torch.no_grad()
def test_hooks_see_what_they_would_see_in_mmdet_s_block(part):
    model, images = network(), torch.randn(1, 3, 64, 64)
    seen = []
    handle = model.get_submodule(f'layer2.0.{part}').register_forward_hook(
        lambda m, given, out: seen.append(out.clone())
    )
    outputs = model(images)
    handle.remove()
    with cpu_kernels.use_instruction_set(None):
        model.get_submodule(f'layer2.0.{part}').register_forward_hook(
            lambda m, given, out: seen.append(out.clone())
        )
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


@needs_kernel
@torch.no_grad()
def test_a_program_traced_from_it_holds_only_torch_s_own_operators():
    stages = dict(num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,))
    model, images = network(**stages), torch.randn(1, 3, 40, 56)
    traced = torch.jit.trace(model, images)
    assert 'epsanet_mmdet::' not in str(traced.inlined_graph)
    torch.testing.assert_close(traced(images)[0], model(images)[0], rtol=1e-4, atol=1e-4)
