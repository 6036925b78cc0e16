"""SKNet equals the authors' network and has the published size."""

import pytest
import torch
import torch.nn.functional as F
from authors_networks import batch_norm, conv, linear
from mmdet.registry import MODELS
from norm_statistics import randomise
from torch import nn

from epsanet_mmdet.layers import SKConv2d
from epsanet_mmdet.models import SKNet
from epsanet_mmdet.utils.flops import count_parameters

CLASSIFIER = 2049 * 1000
STAGE = dict(num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,))


def features(state, x):
    """Return the stages' outputs, as the authors' Caffe network computes them."""
    x = batch_norm(state, 'bn1', conv(state, 'conv1', x, 2)).relu()
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    outputs = []
    for stage in (1, 2, 3, 4):
        block = 0
        while f'layer{stage}.{block}.conv1.weight' in state:
            x = bottleneck(state, f'layer{stage}.{block}', x, 2 if stage > 1 and not block else 1)
            block += 1
        outputs.append(x)
    return outputs


def bottleneck(state, name, x, stride):
    y = batch_norm(state, f'{name}.bn1', conv(state, f'{name}.conv1', x)).relu()
    y = selective(state, f'{name}.conv2', y, stride)
    y = batch_norm(state, f'{name}.bn3', conv(state, f'{name}.conv3', y))
    if f'{name}.downsample.0.weight' in state:
        x = conv(state, f'{name}.downsample.0', x, stride)
        x = batch_norm(state, f'{name}.downsample.1', x)
    return (x + y).relu()


def selective(state, name, x, stride):
    near, far = (
        batch_norm(
            state,
            f'{name}.branches.{i}.1',
            conv(state, f'{name}.branches.{i}.0', x, stride, dilation),
        ).relu()
        for i, dilation in enumerate((1, 2))
    )
    z = linear(state, f'{name}.fc1', (near + far).mean((2, 3)))
    z = batch_norm(state, f'{name}.norm', z).relu()
    a, b = (
        linear(state, f'{name}.fc2', z).unflatten(1, (2, -1)).softmax(1)[..., None, None].unbind(1)
    )
    return a * near + b * far


@torch.no_grad()
def test_equals_the_authors_network():
    model = randomise(SKNet(50)).eval()
    x = torch.randn(2, 3, 70, 93)
    torch.testing.assert_close(list(model(x)), features(model.state_dict(), x))


def test_has_the_parameters_of_the_authors_network():
    total = count_parameters(SKNet(50), trainable_only=False) + CLASSIFIER
    assert total == 27_479_784  # counted in their sknet50.prototxt
    assert f'{total / 1e6:.1f}' == '27.5'  # published


@pytest.mark.parametrize('stage, hidden', [(1, 32), (2, 32), (3, 32), (4, 64)])
def test_the_selection_has_a_sixteenth_of_the_channels_and_at_least_32(stage, hidden):
    convs = [block.conv2 for block in getattr(SKNet(50), f'layer{stage}')]
    assert {conv.fc1.out_channels for conv in convs} == {hidden}


def test_dilated_stages_dilate_both_branches():
    model = SKNet(50, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))
    dilations = [branch[0].dilation for branch in model.layer4[0].conv2.branches]
    assert dilations == [(2, 2), (4, 4)]
    assert model.eval()(torch.randn(1, 3, 64, 64))[3].shape == (1, 2048, 4, 4)


def test_weights_of_the_branches_sum_to_one():
    layer, maps = SKConv2d(64, 64).eval(), torch.randn(2, 2, 64, 5, 5)
    weights = layer.attention(maps)
    assert weights.shape == (2, 2, 64, 1, 1) and weights.min() > 0
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 64, 1, 1))


def test_normalises_as_the_backbone():
    model = SKNet(50, norm_cfg=dict(type='GN', num_groups=16), **STAGE)
    kinds = {type(m) for m in model.modules() if 'Norm' in type(m).__name__}
    assert kinds == {nn.GroupNorm}


def test_residual_branches_start_at_zero():
    model = SKNet(50, **STAGE)
    model.init_weights()
    assert all((block.norm3.weight == 0).all() for block in model.layer1)


@pytest.mark.parametrize(
    'arguments, named',
    [
        (dict(depth=18), ('depth=18', '50, 101, 152')),
        (dict(depth=50, groups=48), ('groups=48', 'in_channels=128')),
        (dict(depth=50, dcn=dict(type='DCNv2')), ('SKNet has no dcn',)),
    ],
)
def test_refuses_bad_arguments_in_one_line_that_names_them(arguments, named):
    with pytest.raises(ValueError) as caught:
        MODELS.build(dict(type='SKNet', **arguments))
    message = str(caught.value)
    assert all(part in message for part in named) and '\n' not in message


@pytest.mark.parametrize(
    'arguments, named',
    [
        (dict(dilations=()), 'dilations'),
        (dict(dilations=(1, 0)), 'dilations'),
        (dict(groups=0), 'groups=0'),
        (dict(reduction=0), 'reduction'),
        (dict(out_channels=48), 'out_channels=48'),
    ],
)
def test_a_convolution_refuses_bad_arguments_in_one_line(arguments, named):
    with pytest.raises(ValueError, match='SKConv2d') as caught:
        SKConv2d(**{**dict(in_channels=64, out_channels=64), **arguments})
    assert named in str(caught.value) and '\n' not in str(caught.value)
