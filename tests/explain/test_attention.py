"""Recorded weights are those that the layer multiplies its input by: they reproduce its output."""

import pytest
import torch
from layer_cases import ATTENTIONS, CHANNELS, FUSIONS, LAYERS, inputs_of
from mmcv.cnn.bricks import ContextBlock
from mmengine.registry import MODELS
from torch import nn

from epsanet_mmdet import layers
from epsanet_mmdet.explain.attention import attention_of, has_attention, is_relative
from epsanet_mmdet.models.plugins import PLUGIN_LAYERS

COMPOSED = ('CBAM2d', 'DualAttention2d', 'MSCAM2d')  # of layers with attention
DEPTHS = ('SelectiveDepthAttention2d',)  # recorded depth by depth: test_recording.py
GATES = [
    name
    for name in ATTENTIONS
    if not name.startswith((*COMPOSED, 'PositionAttention2d', 'ChannelAttention2d'))
]


def build(name):
    layer = LAYERS[name][0](CHANNELS).eval()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


def weights_and_output(layer, x):
    with torch.no_grad():
        output = layer(x)
        return attention_of(layer, x, output), output


def watched(layer, *inputs):
    """Return the input, output and weights of each part of a layer that has attention."""
    seen = {}

    def watch(part, given, output):
        seen[part] = given[0], output, attention_of(part, given[0], output)

    for part in layer.modules():
        if has_attention(part):
            part.register_forward_hook(watch)
    with torch.no_grad():
        output = layer(*inputs)
    return list(seen.values()), output


@pytest.mark.parametrize('name', GATES)
def test_the_input_times_the_gates_is_the_output(name):
    layer, x = build(name), torch.randn(2, CHANNELS, 7, 5)
    weights, output = weights_and_output(layer, x)
    expected = x + x * weights if isinstance(layer, layers.BAM2d) else x * weights
    torch.testing.assert_close(output, expected)
    assert 0 <= weights.min() and weights.max() <= 1 and weights.std() > 1e-4
    assert not is_relative(layer)


@pytest.mark.parametrize('name', ['CBAM2d', 'CBAM2d as coded'])
def test_cbam_is_the_gates_of_its_two_parts(name):
    x = torch.randn(2, CHANNELS, 7, 5)
    ((_, _, channels), (_, _, positions)), output = watched(build(name), x)
    assert channels.shape == (2, CHANNELS, 1, 1) and positions.shape == (2, 1, 7, 5)
    torch.testing.assert_close(output, x * channels * positions)


def test_multi_scale_channel_attention_is_the_gates_of_its_weights():
    x = torch.randn(2, CHANNELS, 7, 5)
    ((_, _, weights),), output = watched(build('MSCAM2d'), x)
    torch.testing.assert_close(output, x * weights)


def test_fusions_are_blends_by_the_weights_of_their_parts():
    x, y = torch.randn(2, 2, CHANNELS, 7, 5)
    ((_, _, weights),), output = watched(build('AFF'), x, y)
    torch.testing.assert_close(output, 2 * (weights * x + (1 - weights) * y))
    ((_, _, first), (z, _, second)), output = watched(build('IAFF'), x, y)
    torch.testing.assert_close(z, first * x + (1 - first) * y)
    torch.testing.assert_close(output, second * x + (1 - second) * y)


@pytest.mark.parametrize('queries', [1, 7, 1024])
def test_position_attention_receives_the_weights_that_the_mean_output_contains(
    queries, monkeypatch
):
    monkeypatch.setattr('epsanet_mmdet.explain.attention.QUERIES', queries)
    layer, x = build('PositionAttention2d'), torch.randn(2, CHANNELS, 7, 5)
    weights, output = weights_and_output(layer, x)
    assert weights.shape == (2, 1, 7, 5) and is_relative(layer)
    torch.testing.assert_close(weights.mean((1, 2, 3)), torch.ones(2))
    with torch.no_grad():
        expected = (layer.alpha * weights * layer.value_conv(x) + x).mean((2, 3))
    torch.testing.assert_close(output.mean((2, 3)), expected)


@pytest.mark.parametrize('name', ['ChannelAttention2d', 'ChannelAttention2d as coded'])
def test_channel_attention_receives_the_weights_that_the_mean_output_contains(name):
    layer, x = build(name), torch.randn(2, CHANNELS, 3, 2)
    weights, output = weights_and_output(layer, x)
    assert weights.shape == (2, CHANNELS, 1, 1) and is_relative(layer)
    torch.testing.assert_close(weights.mean((1, 2, 3)), torch.ones(2))
    expected = (layer.beta * weights * x + x).mean(1).detach()
    torch.testing.assert_close(output.mean(1), expected)


def test_global_context_is_the_weighted_mean():
    layer, x = ContextBlock(CHANNELS, 1 / 16).eval(), torch.randn(2, CHANNELS, 7, 5)
    weights, _ = weights_and_output(layer, x)
    assert weights.std() > 0.1 and is_relative(layer)
    context = layer.spatial_pool(x).detach()
    torch.testing.assert_close((weights * x).mean((2, 3), keepdim=True), context)
    mean = ContextBlock(CHANNELS, 1 / 16, pooling_type='avg').eval()
    assert torch.equal(weights_and_output(mean, x)[0], torch.ones(2, 1, 7, 5))


@pytest.mark.parametrize('name', sorted({*ATTENTIONS, *FUSIONS} - {'DirectAddFusion', *DEPTHS}))
def test_every_layer_has_attention_or_parts_with_it(name):
    x = [torch.randn(1, CHANNELS, 6, 5) for _ in range(inputs_of(name))]
    seen, _ = watched(build(name), *x)
    assert seen


def test_plugins_have_the_attention_of_their_layers():
    for layer in PLUGIN_LAYERS:
        plugin = MODELS.get(layer.__name__)
        assert plugin is not layer
        assert attention_of.dispatch(plugin) is attention_of.dispatch(layer)


@pytest.mark.parametrize('layer', [nn.ReLU(), layers.SqueezeMLP(8), layers.PSAModule(64, 64)])
def test_other_modules_have_none(layer):
    assert not has_attention(layer)
    with pytest.raises(TypeError, match=f'{type(layer).__name__} has no attention'):
        attention_of(layer, None, None)
