"""PSAModule against its formulas, its checkpoint names, and its deployment paths."""

import copy
import pickle

import pytest
import torch
from closeness import assert_close
from epsanet_reference import psa
from torch import nn
from torch.overrides import TorchFunctionMode

from epsanet_mmdet.layers import PSAModule, PyConv2d
from epsanet_mmdet.layers.deployed_psa import DeployedPSA

SMALL = dict(kernel_sizes=(3, 5, 7, 9), groups=(1, 4, 8, 16))
LARGE = dict(kernel_sizes=(3, 5, 5, 7), groups=(32, 32, 32, 32))
PRESETS = [
    pytest.param(64, SMALL, id='small'),
    pytest.param(128, LARGE, id='large'),
    pytest.param(128, dict(LARGE, kernel_sizes=(3, 5, 7, 9)), id='large-paper'),
]
SIZES = [(1, 1), (7, 5), (33, 47)]


def gradients(output, wanted):
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return torch.autograd.grad((output * weight).sum(), wanted)


@pytest.mark.parametrize('size', SIZES, ids=lambda s: f'{s[0]}x{s[1]}')
@pytest.mark.parametrize('stride, dilation', [(1, 1), (2, 1), (2, 3)])
@pytest.mark.parametrize('channels, preset', PRESETS)
def test_equals_the_formulas_forward_and_backward(channels, preset, stride, dilation, size):
    layer = PSAModule(channels, channels, stride=stride, dilation=dilation, **preset).double()
    batch = 1 if size == (33, 47) else 3
    x = torch.randn(batch, channels, *size, dtype=torch.float64, requires_grad=True)
    state = dict(layer.named_parameters())
    wanted = [x, *state.values()]

    actual = layer(x)
    expected = psa(x, state, preset['groups'], stride, dilation)

    assert actual.shape == (batch, channels, -(-size[0] // stride), -(-size[1] // stride))
    assert_close(actual, expected)
    assert_close(copy.deepcopy(layer).float()(x.float()).double(), expected)
    assert_close(gradients(actual, wanted), gradients(expected, wanted))


def test_defaults_are_the_small_preset():
    state = PSAModule(64, 64, **SMALL).state_dict()
    default = PSAModule(64, 64)
    default.load_state_dict(state)
    x = torch.randn(2, 64, 6, 6)
    torch.testing.assert_close(default(x), psa(x, state, SMALL['groups']))


def test_input_and_output_channels_may_differ():
    layer = PSAModule(32, 128)
    x = torch.randn(2, 32, 5, 5)
    assert_close(layer(x), psa(x, layer.state_dict(), SMALL['groups']))


def test_the_same_in_training_and_evaluation():
    layer, x = PSAModule(64, 64), torch.randn(2, 64, 5, 5)
    torch.testing.assert_close(layer.train()(x), layer.eval()(x), rtol=0, atol=0)


def test_parameters_have_the_names_and_shapes_of_the_authors_code():
    shapes = {name: tuple(p.shape) for name, p in PSAModule(64, 64).named_parameters()}
    assert shapes == {
        'conv_1.weight': (16, 64, 3, 3),
        'conv_2.weight': (16, 16, 5, 5),
        'conv_3.weight': (16, 8, 7, 7),
        'conv_4.weight': (16, 4, 9, 9),
        'se.fc1.weight': (1, 16, 1, 1),
        'se.fc1.bias': (1,),
        'se.fc2.weight': (16, 1, 1, 1),
        'se.fc2.bias': (16,),
    }
    assert set(PSAModule(64, 64).state_dict()) == set(shapes)


def test_branches_are_concatenated_in_reversed_order():
    layer = PSAModule(64, 64)
    with torch.no_grad():
        for name, value in (('conv_1', 0.0), ('conv_2', 0.0), ('conv_3', 0.0)):
            getattr(layer, name).weight.fill_(value)
        output = layer(torch.randn(1, 64, 9, 9))
    assert output[:, :16].abs().sum() > 0, 'the fourth branch comes first'
    assert output[:, 16:].abs().sum() == 0


def test_equal_branches_share_the_attention_equally():
    layer = PSAModule(64, 64, kernel_sizes=(3, 3, 3, 3), groups=(1, 1, 1, 1))
    with torch.no_grad():
        for i in (2, 3, 4):
            getattr(layer, f'conv_{i}').weight.copy_(layer.conv_1.weight)
        x = torch.randn(2, 64, 8, 8)
        torch.testing.assert_close(layer(x), layer.conv_1(x).repeat(1, 4, 1, 1) / 4)


def test_every_parameter_learns():
    layer = PSAModule(64, 64)
    layer(torch.randn(2, 64, 9, 9)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('channels, preset', PRESETS)
def test_torchscript_gives_the_same_at_any_batch_and_size(channels, preset):
    layer = PSAModule(channels, channels, stride=2, **preset)
    traced = torch.jit.trace(layer, torch.randn(2, channels, 8, 12))
    for size in SIZES:
        x = torch.randn(1, channels, *size)
        torch.testing.assert_close(traced(x), layer(x))


@pytest.mark.parametrize('channels, preset', PRESETS)
def test_torch_export_gives_the_same_at_any_batch_and_size(channels, preset):
    layer = PSAModule(channels, channels, **preset).eval()
    dim = torch.export.Dim
    exported = torch.export.export(
        layer,
        (torch.randn(2, channels, 12, 14),),
        dynamic_shapes=({0: dim('batch', min=1), 2: dim('h', min=1), 3: dim('w', min=1)},),
    ).module()
    x = torch.randn(3, channels, 9, 7)
    torch.testing.assert_close(exported(x), layer(x))


def test_bfloat16_autocast_stays_close_and_finite():
    layer, x = PSAModule(64, 64), torch.randn(2, 64, 14, 14, requires_grad=True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output = layer(x)
    assert_close(output.float(), layer(x), tolerance=0.03)
    output.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in [x, *layer.parameters()])


def test_channels_last_gives_the_same():
    layer, x = PSAModule(64, 64), torch.randn(2, 64, 9, 11)
    expected = layer(x)
    layer.to(memory_format=torch.channels_last)
    assert_close(layer(x.contiguous(memory_format=torch.channels_last)), expected)


@pytest.mark.parametrize(
    'arguments, named',
    [
        (dict(out_channels=66), '66'),
        (dict(in_channels=24), 'groups'),
        (dict(out_channels=32, groups=(1, 4, 8, 16)), 'groups'),
        (dict(kernel_sizes=(3, 4, 7, 9)), '4'),
        (dict(kernel_sizes=(3, 5, 7)), 'kernel_sizes'),
        (dict(groups=(1, 4, 8)), 'groups'),
        (dict(kernel_sizes=(3, 5, 7, -9)), '-9'),
        (dict(groups=(1, 4, 8, 0)), 'groups'),
        (dict(stride=0), 'stride'),
        (dict(dilation=0), 'dilation'),
        (dict(reduction=0), 'reduction'),
        (dict(in_channels=0), 'in_channels'),
        (dict(attention_type='relu'), "'softmax', 'sigmoid', 'none'"),
    ],
)
def test_refuses_bad_arguments_in_one_line_that_names_them(arguments, named):
    with pytest.raises(ValueError) as caught:
        PSAModule(**{**dict(in_channels=64, out_channels=64), **arguments})
    message = str(caught.value)
    assert named in message and '\n' not in message


@pytest.mark.parametrize('name', ['conv_2', 'gap', 'se', 'se.fc2'])
def test_hooks_of_its_parts_are_called_and_change_nothing(name):
    layer, x, called = PSAModule(64, 64), torch.randn(2, 64, 5, 5), []
    expected = layer(x)
    layer.get_submodule(name).register_forward_hook(lambda *_: called.append(name))
    torch.testing.assert_close(layer(x), expected)
    assert called == [name]


def test_a_part_that_was_replaced_is_used():
    layer, x = PSAModule(64, 64), torch.randn(2, 64, 5, 5)
    expected = layer(x)
    layer.conv_2 = torch.nn.Sequential(layer.conv_2)
    torch.testing.assert_close(layer(x), expected)


def test_a_hidden_width_below_one_becomes_one():
    assert PSAModule(16, 16, groups=(1, 2, 4, 4)).se.fc1.weight.shape == (1, 4, 1, 1)


class CudaAutocast(TorchFunctionMode):
    """What CUDA's autocast does to a softmax, whatever it is given: compute it in float32."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, '__name__', '') in ('softmax', '_softmax'):
            args = (args[0].float(), *args[1:])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('deployed', [False, True])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_a_softmax_in_float32_does_not_widen_the_features(dtype, deployed):
    layer, x = PSAModule(64, 64).to(dtype), torch.randn(2, 64, 9, 9, dtype=dtype)
    layer = DeployedPSA(layer) if deployed else layer
    with CudaAutocast():
        assert layer(x).dtype == dtype
        norm = nn.BatchNorm2d(64).to(dtype)
        assert norm(layer(x)).relu().dtype == dtype


@pytest.mark.parametrize('deployed', [False, True])
def test_autocast_keeps_the_features_type(deployed):
    layer, x = PSAModule(64, 64), torch.randn(2, 64, 9, 9)
    layer = DeployedPSA(layer) if deployed else layer
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


@pytest.mark.parametrize('size', [(8, 8), (9, 13)])
def test_fx_traces_it_for_any_size(size):
    layer = PSAModule(64, 64)
    traced, x = torch.fx.symbolic_trace(layer), torch.randn(3, 64, *size)
    torch.testing.assert_close(traced(x), layer(x), rtol=1e-4, atol=1e-5)


def test_its_convolutions_are_torch_s_own():
    assert all(type(conv) is nn.Conv2d for conv in PSAModule(64, 64).convs)


def test_a_model_that_was_pickled_whole_with_grouped_convolutions_loads():
    layer, x = PSAModule(64, 64), torch.randn(2, 64, 9, 9)
    # As pickle wrote the class of the branches before.
    plain = b'ctorch.nn.modules.conv\nConv2d\n'
    ours = b'cepsanet_mmdet.layers.grouped_conv\nGroupedConv2d\n'
    written = pickle.dumps(layer, protocol=0).replace(plain, ours)
    assert ours in written
    torch.testing.assert_close(pickle.loads(written)(x), layer(x))


def test_a_model_that_was_pickled_before_there_were_types_of_attention_has_a_softmax():
    layer, x = PSAModule(64, 64), torch.randn(2, 64, 9, 9)
    deployed = DeployedPSA(layer)
    for module in (copy.deepcopy(layer), deployed):
        del module.__dict__['attention_type']
        torch.testing.assert_close(pickle.loads(pickle.dumps(module))(x), layer(x))


def test_without_softmax_the_parameters_are_the_same():
    plain = PSAModule(64, 64, attention_type='sigmoid')
    plain.load_state_dict(PSAModule(64, 64).state_dict())


def test_without_attention_it_is_a_pyramidal_convolution_in_reversed_order():
    psa, pyramid = PSAModule(64, 64, attention_type='none'), PyConv2d(64, 64)
    assert [name for name, _ in psa.named_parameters()] == [f'conv_{i}.weight' for i in range(1, 5)]
    state = {name.replace('conv_', 'conv2_'): t for name, t in psa.state_dict().items()}
    pyramid.load_state_dict(state)
    x = torch.randn(2, 64, 9, 9)
    levels = pyramid(x).chunk(4, dim=1)
    torch.testing.assert_close(psa(x), torch.cat(levels[::-1], dim=1))
    assert (psa.attention(psa.features(x)) == 1).all()
