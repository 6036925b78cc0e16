"""AFFResNet and AFFResNeXt have the published sizes and are mmdet's except for the fusions."""

import pytest
import torch
from conftest import ROOT
from mmcv.cnn import is_norm
from mmdet.models.backbones import ResNet, ResNetV1d, ResNeXt
from torch.nn.modules.batchnorm import _BatchNorm

from epsanet_mmdet.layers import AFF, FUSIONS, IAFF
from epsanet_mmdet.models import AFFResNet, AFFResNeXt
from epsanet_mmdet.utils.flops import count_flops, count_parameters

CLASSIFIER = 2049 * 1000


def tiny(fusion=('add', 'add', 'aff', 'iaff'), **kwargs):
    return AFFResNet(50, fusion=fusion, base_channels=8, **kwargs)


# Exact counts, of the authors' networks in MXNet; published: 30.3, 35.1 and 34.7 M.
@pytest.mark.parametrize(
    'network, fusion, parameters',
    [
        (AFFResNet, 'aff', 30_373_192),
        (AFFResNet, 'iaff', 35_170_120),
        (AFFResNeXt, 'aff', 29_953_704),
        (AFFResNeXt, 'iaff', 34_750_632),
    ],
)
def test_has_the_published_parameters(network, fusion, parameters):
    with torch.device('meta'):
        model = network(50, fusion=('add', 'add', fusion, fusion))
    assert count_parameters(model, trainable_only=False) + CLASSIFIER == parameters


@pytest.mark.parametrize(
    'network, fusion',
    [
        *((AFFResNet, name) for name in ('aff', 'iaff', 'pointwise', 'refine')),
        *((AFFResNeXt, name) for name in ('aff', 'iaff')),
    ],
)
def test_the_table_of_the_docs_has_the_costs(network, fusion):
    rows = (ROOT / 'docs' / 'modules.md').read_text().splitlines()
    (row,) = [row for row in rows if f'`{network.__name__}`, `fusion` `{fusion}`' in row]
    with torch.device('meta'):
        ours, resnet = network(50, fusion=('add', 'add', fusion, fusion)), ResNet(50)
    added = [
        count(ours) - count(resnet)
        for count in (
            lambda model: count_parameters(model, trainable_only=False),
            lambda model: count_flops(model, (3, 800, 1280)).detection,
        )
    ]
    assert f'| {added[0]:,} | {added[1] / 1e9:.2f} |' in row


def test_fuses_as_each_stage_says():
    model = tiny()
    assert not any(
        isinstance(m, (AFF, IAFF)) for m in (*model.layer1.modules(), *model.layer2.modules())
    )
    assert all(isinstance(block.fusion, AFF) for block in model.layer3)
    assert all(isinstance(block.fusion, IAFF) for block in model.layer4)


def assert_computes_the_same(ours, mmdets):
    mmdets.eval()  # returns nothing
    x = torch.randn(2, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), mmdets(x))


def test_adding_everywhere_is_mmdets_resnet():
    ours = tiny(('add',) * 4).eval()
    mmdets = ResNetV1d(depth=50, base_channels=8)
    mmdets.load_state_dict(ours.state_dict())
    assert_computes_the_same(ours, mmdets)


def test_adding_everywhere_is_mmdets_resnext():
    options = dict(deep_stem=True, avg_down=True, base_channels=8, stem_channels=16)
    ours = AFFResNeXt(50, fusion=('add',) * 4, groups=4, base_width=4, **options).eval()
    mmdets = ResNeXt(depth=50, groups=4, base_width=4, **options)
    mmdets.load_state_dict(ours.state_dict())
    assert_computes_the_same(ours, mmdets)


@pytest.mark.parametrize('fusion', FUSIONS)
def test_every_fusion_trains(fusion):
    model = tiny((fusion,) * 4).train()
    sum(out.mean() for out in model(torch.randn(2, 3, 64, 48))).backward()
    assert all(isinstance(b.fusion, FUSIONS[fusion]) for b in (*model.layer1, *model.layer4))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_on_a_plain_stem_starts_from_torchvisions_resnet():
    """Its fusions are all that torchvision's weights lack."""
    ours = tiny(deep_stem=False, avg_down=False).eval()
    torchvisions = ResNet(depth=50, base_channels=8, init_cfg=None)  # mmdet's has its names
    loaded = ours.load_state_dict(torchvisions.state_dict(), strict=False)
    assert not loaded.unexpected_keys
    assert all('.fusion.' in name for name in loaded.missing_keys)
    plain = tiny(('add',) * 4, deep_stem=False, avg_down=False).eval()
    plain.load_state_dict(torchvisions.state_dict())
    assert_computes_the_same(plain, torchvisions)


def test_fusions_normalise_by_norm_cfg():
    group = dict(type='GN', num_groups=2)
    model = tiny(norm_cfg=group).train()
    assert not any(isinstance(m, _BatchNorm) for m in model.modules())
    sum(out.mean() for out in model(torch.randn(1, 3, 64, 64))).backward()
    frozen = tiny(norm_cfg=dict(type='BN', requires_grad=False))
    assert not any(p.requires_grad for m in frozen.modules() if is_norm(m) for p in m.parameters())


def test_block_fuses_shortcut_and_residual():
    block = tiny().eval().layer3[0]
    x = torch.randn(1, 64, 6, 6)
    y = block.relu(block.norm1(block.conv1(x)))
    y = block.norm3(block.conv3(block.relu(block.norm2(block.conv2(y)))))
    expected = block.fusion(block.downsample(x), y).relu()
    torch.testing.assert_close(block(x), expected)


def test_plugins_stand_where_mmdet_puts_them():
    positions = ('after_conv1', 'after_conv2', 'after_conv3')
    plugins = [
        dict(cfg=dict(type='ECALayer2d', postfix=i), position=p) for i, p in enumerate(positions)
    ]
    block = tiny(plugins=plugins).eval().layer3[1]
    seen = []
    for name in (
        'conv1',
        'eca_layer2d0',
        'conv2',
        'eca_layer2d1',
        'conv3',
        'eca_layer2d2',
        'fusion',
    ):
        getattr(block, name).register_forward_hook(lambda *_, name=name: seen.append(name))
    block(torch.randn(1, 128, 4, 4))
    assert seen == [
        'conv1',
        'eca_layer2d0',
        'conv2',
        'eca_layer2d1',
        'conv3',
        'eca_layer2d2',
        'fusion',
    ]


def test_checkpointing_gives_equal_gradients():
    plain, saving = tiny(norm_eval=True).train(), tiny(norm_eval=True, with_cp=True).train()
    saving.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 64, 64)
    for model in (plain, saving):
        sum(out.square().mean() for out in model(x)).backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters()):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_trains_with_one_image():
    model = tiny(norm_eval=False, frozen_stages=1).train()
    sum(out.mean() for out in model(torch.randn(1, 3, 64, 64))).backward()
    trained = {n for n, p in model.named_parameters() if p.grad is not None}
    assert trained == {
        n for n, _ in model.named_parameters() if not n.startswith(('stem', 'layer1'))
    }


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(depth=18), 'no depth=18; choose one of 50, 101, 152'),
        (dict(depth=50, fusion=('add', 'aff')), 'one fusion for each of its 4 stages'),
        (dict(depth=50, fusion='aff'), 'one fusion for each of its 4 stages'),
        (dict(depth=50, fusion=('add', 'add', 'max', 'aff')), "no fusion='max'; choose one of"),
        (
            dict(depth=50, plugins=[dict(cfg=dict(type='CBAM2d'), position='after_bn')]),
            "no plugin position='after_bn'; choose one of 'after_conv1'",
        ),
    ],
)
@pytest.mark.parametrize('network', [AFFResNet, AFFResNeXt])
def test_refuses_what_it_has_not(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        network(**arguments)
