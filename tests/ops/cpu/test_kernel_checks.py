"""No shape, stride, type or memory but the right one reaches native code."""

import subprocess
import sys

import pytest
import torch
from fusing import plainly
from torch import nn

from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.ops.cpu import direct_conv, kernels
from epsanet_mmdet.ops.cpu.channel_norm import ChannelNorm
from epsanet_mmdet.ops.cpu.direct_conv import Conv
from epsanet_mmdet.ops.cpu.pointwise import pointwise
from epsanet_mmdet.ops.cpu.training import norm_add_relu

pytestmark = pytest.mark.skipif(not kernels.instruction_sets(), reason='kernels not built')
OPS = torch.ops.epsanet_mmdet


def error_of(call):
    with pytest.raises(Exception) as caught:
        call()
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('channels', [1, 512, 2048])
def test_a_map_of_other_channels_raises_torch_s_own_error(channels, training):
    stage = EPSANet(50).train(training).layer4  # takes 1024
    x = torch.randn(2, channels, 14, 14)
    with torch.set_grad_enabled(training):
        ours = error_of(lambda: stage(x))
        with plainly():
            assert ours == error_of(lambda: stage(x))
    assert 'channels' in ours[1]


@pytest.mark.parametrize('training', [False, True])
def test_millions_of_channels_too_many_do_not_kill_the_interpreter(training):
    code = (
        'import torch\n'
        'from epsanet_mmdet.models import EPSANet\n'
        f'block = EPSANet(50).train({training}).layer1[1]\n'
        f'with torch.set_grad_enabled({training}):\n'
        '    block(torch.zeros(1, 4_000_000, 2, 2))\n'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith('RuntimeError: Given groups=1')


def _narrower(tensor):
    return nn.Parameter(tensor.detach()[:-1].clone())


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize(
    'name',
    [
        'conv1.weight',
        'bn1.weight',
        'bn2.bias',
        'conv2.conv_2.weight',
        'conv2.se.fc1.weight',
        'conv2.se.fc2.bias',
        'conv3.weight',
        'downsample.0.weight',
        'downsample.1.weight',
    ],
)
def test_a_parameter_of_another_size_raises_torch_s_own_error(name, training):
    block = EPSANet(50).layer2[0].train(training)
    owner, _, parameter = name.rpartition('.')
    module = block.get_submodule(owner)
    setattr(module, parameter, _narrower(getattr(module, parameter)))
    x = torch.randn(2, 256, 8, 8)
    with torch.set_grad_enabled(training):
        ours = error_of(lambda: block(x))
        with plainly():
            theirs = error_of(lambda: block(x))
    assert ours[0] == theirs[0]


@pytest.mark.parametrize('training', [False, True])
def test_running_statistics_of_another_size_are_refused(training):
    block = EPSANet(50).layer1[1].train(training)
    block.bn2.running_mean = torch.zeros(3)
    with torch.set_grad_enabled(training):
        error_of(lambda: block(torch.randn(2, 256, 8, 8)))


@pytest.mark.parametrize('training', [False, True])
def test_a_shortcut_of_another_size_raises_torch_s_own_error(training):
    block = EPSANet(50).layer2[0].train(training)
    block.downsample[0].stride = (1, 1)
    x = torch.randn(2, 256, 8, 8)
    with torch.set_grad_enabled(training):
        ours = error_of(lambda: block(x))
        with plainly():
            assert ours == error_of(lambda: block(x))


def test_unbatched_and_two_dimensional_maps_are_left_to_torch():
    block = EPSANet(50).layer1[1].eval()
    for x in (torch.randn(256, 8, 8), torch.randn(2, 256)):
        with torch.no_grad():
            ours = error_of(lambda x=x: block(x))
            with plainly():
                assert ours == error_of(lambda x=x: block(x))


# The operators by themselves


def pointwise_case():
    x, weight = torch.randn(2, 8, 5, 6), torch.randn(4, 8, 1, 1)
    return dict(x=x, weight=weight, scale=torch.ones(4), shift=torch.ones(4), stride=1, relu=True)


@pytest.mark.parametrize(
    'change',
    [
        dict(x=torch.randn(2, 9, 5, 6)),
        dict(x=torch.randn(8, 5)),
        dict(weight=torch.randn(4, 7, 1, 1)),
        dict(weight=torch.randn(4, 8)),
        dict(scale=torch.ones(3)),
        dict(shift=torch.ones(5)),
        dict(add=torch.ones(2, 4, 5, 5)),
        dict(add=torch.ones(2, 3, 5, 6)),
        dict(in_scale=torch.ones(2, 7), in_shift=torch.ones(8)),
        dict(in_scale=torch.ones(2, 8), in_shift=torch.ones(7)),
        dict(in_scale=torch.ones(2, 8)),
        dict(stride=0),
        dict(scale=torch.ones(4).double()),
    ],
    ids=lambda change: ','.join(change),
)
def test_pointwise_conv_refuses_other_sizes(change):
    case = {**pointwise_case(), **change}
    error_of(lambda: OPS.pointwise_conv(**case))


def test_pointwise_conv_ignores_nothing_it_is_given():
    """A shift of what comes in without a scale means nothing, and was never read."""
    case = pointwise_case()
    expected = OPS.pointwise_conv(**case)
    torch.testing.assert_close(OPS.pointwise_conv(**case, in_shift=torch.ones(8)), expected)


@pytest.mark.parametrize('scale, shift', [(3, 4), (4, 5)])
def test_relu_max_pool_refuses_other_sizes(scale, shift):
    x = torch.randn(2, 4, 7, 9)
    error_of(lambda: OPS.relu_max_pool(x, torch.ones(scale), torch.ones(shift)))


@pytest.mark.parametrize('index', range(4))
def test_psa_attention_refuses_other_sizes(index):
    squeeze = [torch.randn(2, 8, 1, 1), torch.randn(2), torch.randn(8, 2, 1, 1), torch.randn(8)]
    features = torch.randn(2, 4, 8, 5, 6)
    OPS.psa_attention(features, *squeeze)
    squeeze[index] = squeeze[index][:-1] if index else torch.randn(2, 7, 1, 1)
    if index == 1:
        squeeze[1] = torch.randn(3)
    error_of(lambda: OPS.psa_attention(features, *squeeze))


@pytest.mark.parametrize(
    'change',
    [
        dict(x=torch.randn(2, 12, 9, 9)),
        dict(x=torch.randn(16, 9, 9)),
        dict(weights=[torch.randn(8, 3, 5, 5), torch.randn(8, 2, 3, 3)]),
        dict(weights=[torch.randn(8, 4, 5, 5), torch.randn(4, 2, 3, 3)]),
        dict(weights=[torch.randn(8, 4, 5), torch.randn(8, 2, 3, 3)]),
        dict(groups=[4]),
        dict(groups=[4, 0]),
        dict(groups=[4, 5]),
        dict(stride=0),
        dict(dilation=0),
    ],
    ids=lambda change: '-'.join(change),
)
def test_branch_convs_refuses_what_does_not_fit(change):
    case = dict(
        x=torch.randn(2, 16, 9, 9),
        weights=[torch.randn(8, 4, 5, 5), torch.randn(8, 2, 3, 3)],
        groups=[4, 8],
        stride=1,
        dilation=1,
    )
    OPS.branch_convs(**case)
    error_of(lambda: OPS.branch_convs(**{**case, **change}))


@pytest.mark.parametrize('size', [(9, 8), (8, 9), (5, 5)])
def test_branch_convs_backward_refuses_a_gradient_of_another_size(size):
    x, weights = torch.randn(2, 16, 9, 9), [torch.randn(8, 4, 5, 5)]
    for needed in ([True, False], [False, True]):
        error_of(
            lambda needed=needed: OPS.branch_convs_backward(
                torch.randn(2, 1, 8, *size), x, weights, [4], 1, 1, needed
            )
        )


# The one place that gives addresses


def _freed(tensor):
    tensor.untyped_storage().resize_(0)
    return tensor


def _shrunk(tensor):
    tensor.untyped_storage().resize_(tensor.untyped_storage().nbytes() - 4)
    return tensor


def _negated(tensor):
    return torch._neg_view(tensor)


BAD = {
    'shape': torch.zeros(2, 3, 4, 4),
    'dimensions': torch.zeros(2, 3, 20),
    'dtype': torch.zeros(2, 3, 4, 5, dtype=torch.double),
    'device': torch.zeros(2, 3, 4, 5, device='meta'),
    'strides': torch.zeros(2, 3, 5, 4).transpose(2, 3),
    'expanded': torch.zeros(2, 3, 4, 1).expand(-1, -1, -1, 5),
    'layout': torch.zeros(2, 3, 4, 5).to_sparse(),
    'freed': _freed(torch.zeros(2, 3, 4, 5)),
    'shrunk': _shrunk(torch.zeros(2, 3, 4, 5)),
    'negated': _negated(torch.zeros(2, 3, 4, 5)),
    'zero': torch._efficientzerotensor((2, 3, 4, 5)),
    'subclass': torch.zeros(2, 3, 4, 5).as_subclass(type('Other', (torch.Tensor,), {})),
}


@pytest.mark.parametrize('name', BAD)
def test_no_address_but_that_of_what_a_kernel_expects(name):
    good = torch.zeros(2, 3, 4, 5)
    assert kernels.address(good, 2, 3, 4, 5) == good.data_ptr()
    assert kernels.address(None, 2, 3, 4, 5) == 0
    with pytest.raises(RuntimeError, match=r'float32 of shape \(2, 3, 4, 5\)'):
        kernels.address(BAD[name], 2, 3, 4, 5)


def test_strides_that_a_kernel_is_given_are_free_and_others_are_not():
    wide = torch.zeros(2, 6, 4, 10)
    for view, free in ((wide[:, ::2, :, :], 2), (wide[:, :3], 1), (wide[:, :3, :, ::2], 4)):
        kernels.address(view, *view.shape, free=free)
        with pytest.raises(RuntimeError, match='strides'):
            kernels.address(view, *view.shape, free=free - 1 if free < 4 else 3)


def test_a_strided_map_must_end_within_its_memory():
    view = torch.zeros(2, 3, 4, 5)[:, :2]
    view.untyped_storage().resize_(view.untyped_storage().nbytes() // 2)
    with pytest.raises(RuntimeError, match='strides'):
        kernels.address(view, *view.shape, free=1)


@pytest.mark.parametrize(
    'conv',
    [
        Conv(torch.randn(8, 4, 11, 11), 4, 1, 1),
        Conv(torch.randn(8, 4, 3, 5), 4, 1, 1),
        Conv(torch.randn(8, 4, 4, 4), 4, 1, 1),
        Conv(torch.randn(8, 4, 3, 3), 2, 1, 1),
        Conv(torch.randn(6, 4, 3, 3), 4, 1, 1),
        Conv(torch.randn(8, 4, 3, 3), 4, 2, 2),
        Conv(torch.randn(8, 4, 3, 3), 4, 0, 1),
    ],
    ids=lambda conv: f'{tuple(conv.weight.shape)}-{conv.groups}-{conv.stride}-{conv.dilation}',
)
def test_the_direct_kernel_refuses_what_it_cannot_convolve(conv):
    x, out = torch.randn(2, 16, 9, 9), torch.zeros(2, len(conv.weight), 9, 9)
    weight = torch.empty_like(conv.weight)
    for call in (
        lambda: direct_conv.forward(x, [conv], [out]),
        lambda: direct_conv.input_gradient(out, conv, x, False),
        lambda: direct_conv.weight_gradients(x, [out], [conv], [weight]),
    ):
        with pytest.raises(RuntimeError, match='cannot convolve'):
            call()


def test_the_kernel_of_1x1_convolutions_refuses_what_has_no_values():
    weight = torch.randn(4, 8, 1, 1)
    for x, w, stride in (
        (torch.randn(0, 8, 3, 3), weight, 1),
        (torch.randn(1, 8, 3, 3), weight[:0], 1),
        (torch.randn(1, 8, 3, 3), weight, 0),
    ):
        with pytest.raises(RuntimeError, match='1x1'):
            pointwise(x, w, stride=stride)


def test_what_is_added_must_have_the_map_s_shape():
    norm = ChannelNorm(nn.BatchNorm2d(4))
    with pytest.raises(RuntimeError, match='shape'):
        norm_add_relu(torch.randn(2, 4, 5, 5), norm, torch.randn(2, 4, 5, 4))


def test_a_psa_module_with_weights_of_another_size_raises_torch_s_own_error():
    psa, x = PSAModule(64, 64), torch.randn(2, 64, 9, 9)
    psa.conv_3.weight = nn.Parameter(torch.randn(16, 7, 7, 7))
    ours = error_of(lambda: psa(x))
    with plainly():
        assert ours == error_of(lambda: psa(x))
