"""PyConvResNet equals the authors' code and has its sizes."""

import pytest
import torch
import torch.nn.functional as F
from authors_networks import batch_norm, conv
from mmdet.registry import MODELS
from norm_statistics import randomise

from epsanet_mmdet.layers import PyConv2d
from epsanet_mmdet.models import PyConvResNet
from epsanet_mmdet.utils.flops import count_parameters

CLASSIFIER = 2049 * 1000
RESNET152 = 60_192_808  # torchvision's, with its classifier
STAGES = dict(num_stages=2, strides=(2, 2), dilations=(1, 1), out_indices=(0, 1))


def features(state, x):
    """Return the stages' outputs, as the authors' code computes them from its own weights."""
    x = batch_norm(state, 'bn1', conv(state, 'conv1', x, 2)).relu()
    outputs = []
    for stage in (1, 2, 3, 4):
        block = 0
        while f'layer{stage}.{block}.conv1.weight' in state:
            x = bottleneck(state, f'layer{stage}.{block}', x, 1 if block else 2)
            block += 1
        outputs.append(x)
    return outputs


def bottleneck(state, name, x, stride):
    y = batch_norm(state, f'{name}.bn1', conv(state, f'{name}.conv1', x)).relu()
    levels = [f'{name}.conv2.conv2_{i}' for i in (1, 2, 3, 4)]
    levels = [level for level in levels if f'{level}.weight' in state] or [f'{name}.conv2']
    y = torch.cat([conv(state, level, y, stride) for level in levels], 1)
    y = batch_norm(state, f'{name}.bn2', y).relu()
    y = batch_norm(state, f'{name}.bn3', conv(state, f'{name}.conv3', y))
    if f'{name}.downsample.1.weight' in state:
        x = conv(state, f'{name}.downsample.1', F.max_pool2d(x, 3, stride, 1))
        x = batch_norm(state, f'{name}.downsample.2', x)
    return (x + y).relu()


@pytest.mark.parametrize('arch', ['plain', 'hg'])
@torch.no_grad()
def test_equals_the_authors_code(arch):
    model = randomise(PyConvResNet(50, arch)).eval()
    x = torch.randn(1, 3, 70, 93)
    torch.testing.assert_close(list(model(x)), features(model.state_dict(), x))


def test_levels_of_the_first_blocks_have_the_authors_names_and_shapes():
    state = PyConvResNet(50).state_dict()
    shapes = {k: tuple(v.shape) for k, v in state.items() if '.0.conv2' in k}
    assert shapes == {
        'layer1.0.conv2.conv2_1.weight': (16, 64, 3, 3),
        'layer1.0.conv2.conv2_2.weight': (16, 16, 5, 5),
        'layer1.0.conv2.conv2_3.weight': (16, 8, 7, 7),
        'layer1.0.conv2.conv2_4.weight': (16, 4, 9, 9),
        'layer2.0.conv2.conv2_1.weight': (32, 128, 3, 3),
        'layer2.0.conv2.conv2_2.weight': (32, 32, 5, 5),
        'layer2.0.conv2.conv2_3.weight': (64, 16, 7, 7),
        'layer3.0.conv2.conv2_1.weight': (128, 256, 3, 3),
        'layer3.0.conv2.conv2_2.weight': (128, 64, 5, 5),
        'layer4.0.conv2.weight': (512, 512, 3, 3),
    }


def test_hg_50_has_the_published_fraction_of_resnet_152_s_parameters():
    """The paper's abstract: 2.39 times fewer than ResNet-152, for the 50-layer network."""
    total = count_parameters(PyConvResNet(50, 'hg'), trainable_only=False) + CLASSIFIER
    assert f'{RESNET152 / total:.2f}' == '2.39'


def test_shortcuts_of_stages_without_a_stride_do_not_pool():
    model = PyConvResNet(50, **{**STAGES, 'strides': (2, 1)}).eval()
    x = torch.randn(1, 256, 4, 4)
    shortcut = model.layer2[0].downsample
    torch.testing.assert_close(shortcut(x), shortcut[2](shortcut[1](x)))


def test_residual_branches_start_at_zero():
    model = PyConvResNet(50, **STAGES)
    model.init_weights()
    assert all((block.norm3.weight == 0).all() for block in (*model.layer1, *model.layer2))


@pytest.mark.parametrize(
    'arguments, named',
    [
        (dict(depth=18), ('depth=18', '50, 101, 152')),
        (dict(depth=50, arch='large'), ("arch='large'", "'plain', 'hg'")),
        (dict(depth=50, dcn=dict(type='DCNv2')), ('PyConvResNet has no dcn',)),
    ],
)
def test_refuses_bad_arguments_in_one_line_that_names_them(arguments, named):
    with pytest.raises(ValueError) as caught:
        MODELS.build(dict(type='PyConvResNet', **arguments))
    message = str(caught.value)
    assert all(part in message for part in named) and '\n' not in message


@pytest.mark.parametrize(
    'arguments, named',
    [
        (dict(out_channels=66), 'must be divisible by 4'),
        (dict(kernel_sizes=()), 'kernel_sizes=()'),
        (dict(kernel_sizes=(3, 4), groups=(1, 1)), 'odd'),
        (dict(groups=(1, 4, 8)), 'one group count per kernel size'),
        (dict(groups=(1, 4, 8, 32)), 'groups=32'),
        (dict(stride=0), 'stride'),
    ],
)
def test_a_convolution_refuses_bad_arguments_in_one_line(arguments, named):
    with pytest.raises(ValueError, match='PyConv2d') as caught:
        PyConv2d(**{**dict(in_channels=64, out_channels=64), **arguments})
    assert named in str(caught.value) and '\n' not in str(caught.value)
