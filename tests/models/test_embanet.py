"""EMBANet's split form equals its formula, by the modules themselves, wherever it runs."""

import pickle

import pytest
import torch
from closeness import assert_close
from fusing import counted, plainly
from mmdet.registry import MODELS
from norm_statistics import randomise
from torch import nn

from epsanet_mmdet.benchmark.published_psa import PublishedPSA, published_formulation
from epsanet_mmdet.deploy import prepare_for
from epsanet_mmdet.layers import PSAModule, SplitPSAModule
from epsanet_mmdet.models import EMBANet
from epsanet_mmdet.models.deployed import deploy
from epsanet_mmdet.utils.flops import count_parameters

STAGES = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))


def test_each_branch_sees_its_own_part_of_the_input():
    layer, x = SplitPSAModule(64, 64), torch.randn(1, 64, 9, 9, requires_grad=True)
    (seen,) = torch.autograd.grad(layer.features(x)[:, 0].abs().sum(), x)
    # The output has the branches in reversed order, as PSA's.
    assert (seen[:, 48:] != 0).all() and (seen[:, :48] == 0).all()


def test_block_diagonal_filters_make_psa_the_split_form():
    whole, split = PSAModule(64, 64, groups=(1,) * 4), SplitPSAModule(64, 64, groups=(1,) * 4)
    state = dict(split.state_dict())
    for i in range(4):
        own = state[f'conv_{i + 1}.weight']
        padded = own.new_zeros(16, 64, *own.shape[2:])
        padded[:, 16 * i : 16 * (i + 1)] = own
        state[f'conv_{i + 1}.weight'] = padded
    whole.load_state_dict(state)
    x = torch.randn(2, 64, 9, 7)
    torch.testing.assert_close(split(x), whole(x))


def test_it_has_psa_s_parameters_with_a_quarter_of_the_filters():
    whole, split = (dict(cls(64, 64).named_parameters()) for cls in (PSAModule, SplitPSAModule))
    assert whole.keys() == split.keys()
    for name, parameter in split.items():
        assert whole[name].numel() == parameter.numel() * (4 if 'conv' in name else 1), name


@pytest.mark.parametrize('arch', ['small', 'large', 'large-paper'])
def test_every_block_has_the_split_form(arch):
    model = EMBANet(50, arch)
    modules = [m for m in model.modules() if isinstance(m, PSAModule)]
    assert len(modules) == 16 and all(type(m) is SplitPSAModule for m in modules)


@pytest.mark.parametrize('attention_type', ['softmax', 'sigmoid', 'none'])
def test_no_faster_implementation_of_psa_computes_it(attention_type):
    torch.manual_seed(0)
    model = randomise(EMBANet(50, attention_type=attention_type, frozen_stages=-1, **STAGES))
    images = torch.randn(2, 3, 61, 90)

    def results():
        outputs = model(images)
        weights = [torch.linspace(-1, 1, out.numel()).view_as(out) for out in outputs]
        loss = sum((out * weight).sum() for out, weight in zip(outputs, weights))
        return [*outputs, *torch.autograd.grad(loss, list(model.parameters()))]

    for training in (False, True):
        model.train(training)
        with counted() as fused:
            ours = results()
        assert not any(fused.values())
        with plainly():
            assert_close(ours, results(), 1e-4)
    model.eval()
    deployed = deploy(model)
    with torch.no_grad():
        with counted() as fused:
            evaluated = [*model(images), *deployed(images)]
        assert not any(fused.values())
        with plainly():
            assert_close(evaluated, [*model(images)] * 2, 1e-5)
            assert_close(list(prepare_for(deployed, 'cuda')(images)), evaluated[:2], 1e-5)
    assert not any(isinstance(m, (PSAModule, nn.BatchNorm2d)) for m in deployed.modules())


def test_a_map_of_one_part_s_channels_is_refused():
    """PSA's faster implementations would take it for the whole input."""
    layer = SplitPSAModule(64, 64)
    for module in (layer, deploy(layer.eval())):
        with pytest.raises(RuntimeError, match='channels'):
            module(torch.randn(1, 16, 9, 9))


def test_the_benchmark_of_the_published_steps_leaves_it_alone():
    network = published_formulation(nn.Sequential(SplitPSAModule(64, 64), PSAModule(64, 64)))
    assert [type(m) for m in network] == [SplitPSAModule, PublishedPSA]


@torch.no_grad()
def test_pickles_deployed():
    layer, x = deploy(SplitPSAModule(64, 64).eval()), torch.randn(1, 64, 5, 5)
    torch.testing.assert_close(pickle.loads(pickle.dumps(layer))(x), layer(x))


def test_it_has_fewer_parameters_than_epsanet_by_three_quarters_of_the_filters():
    ours, epsanet = (MODELS.build(dict(type=name, depth=50)) for name in ('EMBANet', 'EPSANet'))
    filters = sum(p.numel() for k, p in epsanet.named_parameters() if '.conv2.conv_' in k)
    assert count_parameters(epsanet) - count_parameters(ours) == filters * 3 // 4


@pytest.mark.parametrize(
    'arguments, named',
    [
        (dict(depth=34), ('EMBANet has no depth=34',)),
        (dict(depth=50, arch='medium'), ("EMBANet has no arch='medium'",)),
        (dict(depth=50, groups=(1, 4, 8, 32)), ('groups=32', 'in_channels=16')),
        (dict(depth=50, dcn=dict(type='DCNv2')), ('EMBANet has no dcn',)),
        (dict(depth=50, kernel_sizes=(), groups=()), ('kernel_sizes=()',)),
        (
            dict(depth=50, kernel_sizes=(3, 5, 7), groups=(1, 1, 1)),
            ('in_channels=64 must be divisible by 3',),
        ),
    ],
)
def test_refuses_bad_arguments_in_one_line_that_names_them(arguments, named):
    with pytest.raises(ValueError) as caught:
        MODELS.build(dict(type='EMBANet', **arguments))
    message = str(caught.value)
    assert all(part in message for part in named) and '\n' not in message
