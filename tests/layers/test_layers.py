"""Every attention and fusion layer equals its formula, trains, exports and refuses no channels."""

import pytest
import torch
from layer_cases import CHANNELS, LAYERS, inputs_of

BATCH_NORM = torch.nn.modules.batchnorm._BatchNorm
WITHOUT_CHANNELS = {'ChannelAttention2d', 'ChannelAttention2d as coded', 'DirectAddFusion'}
SHAPES = [(2, CHANNELS, 7, 5), (3, CHANNELS, 14, 14), (2, CHANNELS, 1, 1)]


def build(name):
    """The layer in training mode, with parameters that let nothing cancel out."""
    layer = LAYERS[name][0](CHANNELS).train()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return layer


def inputs(name, shape, dtype=torch.float32):
    return tuple(
        torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(inputs_of(name))
    )


@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize('name', LAYERS)
def test_equals_its_formula_forward_and_backward(name, shape):
    layer = build(name).double()
    reference = LAYERS[name][1]
    xs = inputs(name, shape, torch.float64)
    parameters = dict(layer.named_parameters())
    leaves = (*xs, *parameters.values())

    actual = layer(*xs)
    expected = reference(*xs, parameters)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)

    weight = torch.randn_like(actual)
    actual_grads = torch.autograd.grad((actual * weight).sum(), leaves)
    expected_grads = torch.autograd.grad((expected * weight).sum(), leaves, allow_unused=True)
    for leaf, a, e in zip(leaves, actual_grads, expected_grads):
        e = torch.zeros_like(leaf) if e is None else e
        torch.testing.assert_close(a, e, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('size', [(1, 1), (1, 6), (9, 4)], ids=str)
@pytest.mark.parametrize('name', LAYERS)
def test_trains_with_batch_size_1(name, size):
    layer = build(name)
    output = layer(*inputs(name, (1, CHANNELS, *size)))
    assert output.shape == (1, CHANNELS, *size)
    output.square().sum().backward()
    for key, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key


@pytest.mark.parametrize('name', LAYERS)
def test_leaves_its_input_alone(name):
    xs = inputs(name, (2, CHANNELS, 6, 6))
    before = [x.detach().clone() for x in xs]
    build(name)(*xs)
    for x, b in zip(xs, before):
        assert torch.equal(x, b)


@pytest.mark.parametrize('name', LAYERS)
def test_exports(name):
    layer = build(name).eval()
    xs = inputs(name, (2, CHANNELS, 6, 5))
    exported = torch.export.export(layer, xs).module()
    torch.testing.assert_close(exported(*xs), layer(*xs))


@pytest.mark.parametrize('name', LAYERS)
def test_trains_under_bfloat16_autocast(name):
    layer = build(name)
    xs = inputs(name, (2, CHANNELS, 7, 7))
    with torch.autocast('cpu', torch.bfloat16):
        output = layer(*xs)
    output.float().sum().backward()
    assert output.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize('name', LAYERS)
def test_runs_on_meta_tensors(name):
    layer = build(name).to('meta')
    xs = [torch.empty(2, CHANNELS, 6, 5, device='meta') for _ in range(inputs_of(name))]
    output = layer(*xs)
    assert output.is_meta and output.shape == xs[0].shape


def group_norm(channels):
    return torch.nn.GroupNorm(1, channels)


def normalisations(layer, kind):
    return [name for name, module in layer.named_modules() if isinstance(module, kind)]


NORMALISED = [name for name in LAYERS if normalisations(build(name), BATCH_NORM)]


@pytest.mark.parametrize('name', NORMALISED)
def test_builds_its_normalisation_by_norm_layer(name):
    layer = LAYERS[name][0](CHANNELS, norm_layer=group_norm)
    assert not normalisations(layer, BATCH_NORM)
    replaced = normalisations(build(name), BATCH_NORM)
    assert replaced == normalisations(layer, torch.nn.GroupNorm)
    xs = inputs(name, (2, CHANNELS, 7, 5))
    assert layer(*xs).shape == xs[0].shape


@pytest.mark.parametrize('name', sorted(set(LAYERS) - WITHOUT_CHANNELS))
def test_refuses_no_channels(name):
    with pytest.raises(ValueError, match='channels=0'):
        LAYERS[name][0](0)
