"""ResNet-18 and ResNet-34 have plugin layers and PSA, as in the papers of SE, CBAM and ECA-Net."""

import authors_networks
import pytest
import torch
from closeness import assert_close
from mmdet.models.backbones import ResNet
from norm_statistics import randomise

from epsanet_mmdet.errors import ArgumentError
from epsanet_mmdet.models import PluginResNet, StagePluginResNet
from epsanet_mmdet.models.deployed import deploy
from epsanet_mmdet.models.plugins import PSAConv2d
from epsanet_mmdet.utils.flops import count_parameters
from epsanet_mmdet.weight_transfer.weight_names import to_mmdet_names

CLASSIFIER = 513 * 1000
EVERY_STAGE = (True, True, True, True)


def resnet(layer=None, depth=18, position='after_conv2', **kwargs):
    plugins = layer and [dict(cfg=layer, position=position)]
    return PluginResNet(depth, plugins=plugins, **kwargs)


def features(model, x):
    model.eval()
    with torch.no_grad():
        return model(x)


# Millions of parameters with 1000 classes. The unit of ECA-Net's paper and README is 2^20: there,
# ResNet-50 has 24.37.
@pytest.mark.parametrize(
    'depth, layer, unit, published',
    [
        (18, dict(type='SELayer2d', bias=True), 10**6, '11.78'),  # CBAM's paper, Table 4
        (18, dict(type='CBAM2d', as_coded=True), 10**6, '11.78'),
        (34, dict(type='SELayer2d', bias=True), 10**6, '21.96'),
        (34, dict(type='CBAM2d', as_coded=True), 10**6, '21.96'),
        (18, dict(type='ECALayer2d'), 2**20, '11.15'),  # ECA-Net's paper, Table 3
        (34, dict(type='ECALayer2d'), 2**20, '20.79'),
    ],
)
def test_has_the_published_parameters(depth, layer, unit, published):
    count = count_parameters(resnet(layer, depth), trainable_only=False) + CLASSIFIER
    assert f'{count / unit:.2f}' == published


def test_computes_what_the_authors_of_ecanet18_compute_from_their_weights():
    model = randomise(resnet(dict(type='ECALayer2d', kernel_size=3)))
    state = {k.replace('eca_layer2d', 'eca'): v for k, v in model.state_dict().items()}
    x = torch.randn(2, 3, 64, 64)
    expected = authors_networks.features(
        state, x, attention=authors_networks.efficient_channel, stride_in=1
    )
    renamed = to_mmdet_names(state, model)
    assert renamed.keys() == model.state_dict().keys()
    assert_close(features(model, x), expected)


def test_without_options_it_is_mmdets_resnet18():
    ours, mmdets = resnet(), ResNet(18)
    ours.load_state_dict(mmdets.state_dict())
    mmdets.eval()  # returns None
    x = torch.randn(1, 3, 64, 64)
    assert_close(features(ours, x), features(mmdets, x))


def test_pretrained_weights_are_not_zeroed():
    init = dict(type='Pretrained', checkpoint='torchvision://resnet18')
    assert not any(b.init_cfg for b in resnet(init_cfg=init, base_channels=16).layer1)


def test_after_conv1_precedes_the_second_convolution():
    model = resnet(dict(type='SELayer2d'), position='after_conv1', base_channels=16).eval()
    block = model.layer1[0]
    x = torch.randn(1, 16, 8, 8)
    inner = block.se_layer2d(block.norm1(block.conv1(x)).relu())
    assert_close(block(x), (x + block.norm2(block.conv2(inner))).relu())


def test_psa_replaces_both_convolutions_with_their_strides():
    model = PluginResNet(18, dcn=dict(type='PSAConv2d'), stage_with_dcn=(False, True, True, True))
    kinds = [{type(b.conv1) for b in layer} for layer in (model.layer1, model.layer2)]
    assert kinds == [{torch.nn.Conv2d}, {PSAConv2d}]
    assert type(model.layer4[1].conv2) is PSAConv2d
    assert [f.shape[2] for f in features(model, torch.randn(1, 3, 64, 64))] == [16, 8, 4, 2]


@pytest.mark.parametrize('fallback', [True, False])
def test_dcn_has_mmdets_fallback_on_stride(fallback):
    dcn = dict(type='DCNv2', deform_groups=1, fallback_on_stride=fallback)
    model = resnet(dcn=dcn, stage_with_dcn=EVERY_STAGE, base_channels=16)
    names = {type(conv).__name__ for block in model.layer2 for conv in (block.conv1, block.conv2)}
    assert names == {'Conv2d' if fallback else 'ModulatedDeformConv2dPack'}


def test_recomputing_activations_changes_nothing():
    x = torch.randn(2, 3, 32, 32)
    grads = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        model = resnet(dict(type='SELayer2d'), base_channels=16, with_cp=with_cp, norm_eval=False)
        model.train()(x)[3].sum().backward()
        grads.append([p.grad for p in model.parameters() if p.grad is not None])
    assert_close(grads[1], grads[0])


def test_deploys_and_freezes_its_layers():
    model = resnet(dict(type='CBAM2d'), base_channels=16, frozen_stages=1)
    assert not any(p.requires_grad for p in model.layer1.parameters())
    assert all(p.requires_grad for p in model.layer2[0].cbam2d.parameters())
    randomise(model).eval()
    x = torch.randn(1, 3, 64, 64)
    assert_close(features(deploy(model), x), features(model, x))


def test_stage_plugins_and_plugins_go_together():
    model = StagePluginResNet(
        34,
        base_channels=16,
        stage_plugins=[dict(cfg=dict(type='BAM2d'), stages=(True, True, True, False))],
        plugins=[dict(cfg=dict(type='ECALayer2d'), position='after_conv2')],
    )
    assert {'layer1.bam2d', 'layer3.5.eca_layer2d'} <= {name for name, _ in model.named_modules()}


def test_there_is_no_third_convolution():
    with pytest.raises(ArgumentError, match="'after_conv3'; choose one of 'after_conv1', 'after"):
        resnet(dict(type='SELayer2d'), position='after_conv3')
