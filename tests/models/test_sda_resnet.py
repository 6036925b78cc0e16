"""SDA networks have the published sizes, and are mmdet's networks except for the selection."""

import pytest
import torch
from conftest import ROOT
from mmcv.cnn import is_norm
from mmdet.models.backbones import ResNet
from mmdet.models.backbones.res2net import Bottle2neck
from mmdet.models.backbones.resnext import Bottleneck
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from epsanet_mmdet.layers import SelectiveDepthAttention2d
from epsanet_mmdet.models import EPSABlock, EPSANet, SDAEPSANet, SDARes2Net, SDAResNet
from epsanet_mmdet.models.sda_epsanet import SDAEPSABlock
from epsanet_mmdet.models.sda_res2net import SDABottle2neck
from epsanet_mmdet.models.sda_resnet import SDABottleneck
from epsanet_mmdet.utils.flops import count_flops, count_parameters

SE = [dict(cfg=dict(type='SELayer2d', bias=True), position='after_conv3')]
NETWORKS = dict(
    resnet=SDAResNet,
    senet=lambda *args, **kwargs: SDAResNet(*args, groups=1, plugins=SE, **kwargs),
    res2net=SDARes2Net,
    epsanet=SDAEPSANet,
)
DOCUMENTED = dict(
    resnet='`SDAResNet`, depth 86',
    senet='`SDAResNet`, depth 86, `groups=1`, with `SELayer2d`',
    res2net='`SDARes2Net`, depth 86',
    epsanet='`SDAEPSANet`, depth 86',
)
CLASSIFIER = 2 * 2048 + 2049 * 1000  # of the authors: a batch norm, and a linear layer
PSA = dict(kernel_sizes=(3, 5, 7, 9), groups=(1, 1, 1, 1), reduction=16)


def tiny(network=SDAResNet, **kwargs):
    base = 64 if issubclass(network, EPSANet) else 8
    return network(50, base_channels=base, **kwargs)


def classifier_costs(name):
    """Return millions of parameters and, as in the table, of multiply-accumulates."""
    with torch.device('meta'):
        model = NETWORKS[name]()
    parameters = count_parameters(model, trainable_only=False) + CLASSIFIER
    return parameters, count_flops(model).weighted + 2048 * 1000


@pytest.mark.parametrize(
    'name, millions, flops',
    [('resnet', '27.22', '3.88'), ('senet', '49.13', '6.72'), ('res2net', '45.25', '6.95')],
)
def test_has_the_published_costs(name, millions, flops):
    """The table has 45.26 M for SDA-Res2Net-86, 0.01 M more than the authors' code."""
    parameters, multiplications = classifier_costs(name)
    assert (f'{parameters / 1e6:.2f}', f'{multiplications / 1e9:.2f}') == (millions, flops)


def test_published_sda_epsanet_has_a_squeeze_mlp_per_branch():
    """So have EPSANet-86 and EPSANet-50 of the same table; the EPSANet authors share the MLP."""

    def with_mlp_per_branch(model):
        shared = sum(p.numel() for n, p in model.named_parameters() if '.conv2.se.' in n)
        return count_parameters(model, trainable_only=False) + 3 * shared

    with torch.device('meta'):
        sda, small = SDAEPSANet(), EPSANet(50)
    depths = sum(p.numel() for n, p in sda.named_parameters() if '.sda.' in n)
    counts = with_mlp_per_branch(sda) + CLASSIFIER
    assert f'{counts / 1e6:.2f}' == '39.45'
    assert f'{(counts - depths) / 1e6:.2f}' == '36.67'
    assert f'{(with_mlp_per_branch(small) + 2049 * 1000) / 1e6:.2f}' == '22.59'
    parameters, multiplications = classifier_costs('epsanet')
    assert f'{(parameters - depths) / 1e6:.2f}' == '36.61'
    assert f'{multiplications / 1e9:.2f}' == '5.85'


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize(
    'ours, mmdets, options',
    [
        (SDABottleneck, Bottleneck, dict(groups=8, base_width=8, plugins=SE)),
        (SDABottle2neck, Bottle2neck, {}),
        (SDAEPSABlock, EPSABlock, dict(width_factor=1, psa=PSA)),
    ],
)
def test_block_is_mmdets_without_the_last_relu(ours, mmdets, options, stride):
    shortcut = None
    if stride > 1:
        shortcut = nn.Sequential(nn.Conv2d(256, 256, 1, stride), nn.BatchNorm2d(256))
    ours = ours(256, 64, stride=stride, downsample=shortcut, **options)
    if mmdets is Bottle2neck:
        options = dict(stage_type=ours.stage_type)
    mmdets = mmdets(256, 64, stride=stride, downsample=shortcut, **options)
    mmdets.load_state_dict(ours.state_dict())
    x = torch.randn(2, 256, 8, 10)
    with torch.no_grad():
        output, expected = ours.eval()(x), mmdets.eval()(x)
    assert output.min() < 0
    torch.testing.assert_close(output.relu(), expected)


def test_first_block_of_res2net_pools_in_every_stage():
    model = tiny(SDARes2Net)
    for name in model.res_layers:
        first, *others, _ = getattr(model, name)
        assert isinstance(first.pool, nn.AvgPool2d)
        assert first.pool.stride == first.conv2_stride
        assert not any(isinstance(block.pool, nn.AvgPool2d) for block in others)


def test_stage_selects_among_the_sums_of_its_blocks():
    stage, x = tiny().eval().layer2, torch.randn(2, 32, 8, 8)
    depths = [stage[0](x)]
    for block in (stage[1], stage[2], stage[3]):
        depths.append(block(depths[-1].relu()))
    torch.testing.assert_close(stage(x), stage.sda(*depths).relu())


def test_a_network_that_selects_the_last_depths_is_mmdets_resnet():
    """So torchvision's weights start all of it but the selection."""
    ours = tiny(groups=1).eval()
    for name in ours.res_layers:
        nn.init.constant_(getattr(ours, name).sda.fcs[-1].bias, 100)
    mmdets = ResNet(50, base_channels=8)
    missing, unexpected = mmdets.load_state_dict(ours.state_dict(), strict=False)
    assert not missing and all('.sda.' in name for name in unexpected)
    mmdets.eval()  # returns nothing
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), mmdets(x))


@pytest.mark.parametrize('network', [SDAResNet, SDARes2Net, SDAEPSANet])
def test_trains_with_one_image_except_what_is_frozen(network):
    model = tiny(network, norm_eval=False, frozen_stages=1).train()
    sum(out.mean() for out in model(torch.randn(1, 3, 64, 64))).backward()
    trained = {n for n, p in model.named_parameters() if p.grad is not None}
    frozen = ('conv1', 'bn1', 'layer1')
    assert trained == {n for n, _ in model.named_parameters() if not n.startswith(frozen)}


def test_checkpointing_gives_equal_gradients():
    plain, saving = tiny(norm_eval=True).train(), tiny(norm_eval=True, with_cp=True).train()
    saving.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 64, 64)
    for model in (plain, saving):
        sum(out.square().mean() for out in model(x)).backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


@pytest.mark.parametrize('network', [SDAResNet, SDARes2Net, SDAEPSANet])
@pytest.mark.parametrize('zero', [True, False])
def test_zero_init_residual_is_that_of_mmdet(network, zero):
    model = tiny(network, zero_init_residual=zero)
    model.init_weights()
    gains = [m.weight.abs().max() for n, m in model.named_modules() if n.endswith('.bn3')]
    assert len(gains) == 16 and all((gain == 0) == zero for gain in gains)


def test_norm_cfg_and_norm_eval_apply_to_the_selection():
    group = tiny(norm_cfg=dict(type='GN', num_groups=2))
    assert not any(isinstance(m, _BatchNorm) for m in group.modules())
    frozen = tiny(norm_cfg=dict(type='BN', requires_grad=False), norm_eval=True).train()
    norms = [m for m in frozen.modules() if is_norm(m)]
    assert not any(m.training or m.weight.requires_grad for m in norms)


def test_out_indices_and_the_options_of_the_selection():
    model = tiny(out_indices=(1, 3), sda_reduction=4, sda_min_hidden=8)
    outputs = model(torch.randn(1, 3, 64, 64))
    assert [out.shape[1:] for out in outputs] == [(64, 8, 8), (256, 2, 2)]
    selections = [m for m in model.modules() if isinstance(m, SelectiveDepthAttention2d)]
    assert [len(m.fcs) for m in selections] == [3, 4, 6, 3]
    assert [m.fc[0].out_channels for m in selections] == [8, 16, 32, 64]


def plugin(position):
    return [dict(cfg=dict(type='ECALayer2d'), position=position)]


@pytest.mark.parametrize(
    'network, arguments, message',
    [
        (SDAResNet, dict(depth=18), 'SDAResNet has no depth=18; choose one of 50, 86, 101, 152'),
        (SDARes2Net, dict(depth=34), 'SDARes2Net has no depth=34'),
        (SDAEPSANet, dict(depth=18), 'no depth=18; choose one of 50, 86'),
        (SDAResNet, dict(groups=3), 'groups that divide its 64 channels, but got groups=3'),
        (SDAResNet, dict(groups=0), 'groups=0'),
        (SDAResNet, dict(sda_reduction=0), 'reduction=0'),
        (SDAResNet, dict(plugins=plugin('after_bn')), "no plugin position='after_bn'"),
        (SDARes2Net, dict(plugins=plugin('after_conv2')), 'only at position after_conv3'),
        (SDARes2Net, dict(scales=1), 'scales of at least 2, but got scales=1'),
    ],
)
def test_refuses_what_it_has_not(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        network(**arguments)


@pytest.mark.parametrize('name', NETWORKS)
def test_docs_have_what_it_adds_to_resnet50(name):
    rows = (ROOT / 'docs' / 'modules.md').read_text().splitlines()
    (row,) = [row for row in rows if row.startswith(f'| {DOCUMENTED[name]} |')]
    with torch.device('meta'):
        ours, theirs = NETWORKS[name](), ResNet(50)
    flops = [count_flops(network, (3, 800, 1280)).detection for network in (ours, theirs)]
    parameters = [count_parameters(network, trainable_only=False) for network in (ours, theirs)]
    assert f' {parameters[0] - parameters[1]:,} | {(flops[0] - flops[1]) / 1e9:.2f} |' in row
