"""A deployed network computes what the trained one does, and is plain."""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from norm_statistics import randomise
from tiny_detector import tiny_detector  # noqa: F401
from tiny_training import tiny_training
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from epsanet_mmdet.config.load import configs_dir, load_config
from epsanet_mmdet.deploy import DeployedPSA, greatest_difference
from epsanet_mmdet.errors import ArgumentError
from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.models.deployed import deploy


def backbone_configs():
    """One config for each different backbone of the project."""
    seen = {}
    for path in sorted(configs_dir().rglob('*_fpn_*.py')):
        if '_base_' in path.parts:
            continue
        model = load_config(str(path)).get('model', {})
        if 'type' in model.get('backbone', {}):
            backbone = {**model.backbone, 'init_cfg': None}
            seen.setdefault(repr(backbone), pytest.param(backbone, id=path.stem))
    return list(seen.values())


@pytest.mark.parametrize('config', backbone_configs())
def test_every_backbone_of_the_project_computes_the_same(config):
    init_default_scope('mmdet')
    network = randomise(MODELS.build(config))
    network.eval()
    before = copy.deepcopy(network.state_dict())
    deployed = deploy(network)
    images = torch.randn(2, 3, 70, 93)
    with torch.no_grad():
        assert greatest_difference(deployed(images), network(images)) < 5e-5
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), f'{name} of the original changed'


@pytest.mark.parametrize('arch', ['small', 'large', 'large-paper'])
def test_only_plain_modules_are_left_of_an_epsanet(arch):
    deployed = deploy(EPSANet(50, arch).eval())
    for module in deployed.modules():
        assert not isinstance(module, (_BatchNorm, PSAModule))
        assert not module.training
    assert not any(p.requires_grad for p in deployed.parameters())


def test_without_batch_norms_attention_is_deployed_alone():
    norm = dict(type='GN', num_groups=16)
    network = EPSANet(
        50, norm_cfg=norm, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,)
    )
    deployed = deploy(network.eval())
    assert sum(isinstance(m, nn.GroupNorm) for m in deployed.modules()) == 1 + 3 * 3 + 1
    images = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        assert greatest_difference(deployed(images), network(images)) < 5e-5


@pytest.mark.parametrize('affine', [True, False])
def test_a_psa_and_its_norm(affine):
    network = nn.Sequential(PSAModule(64, 64, stride=2), nn.BatchNorm2d(64, affine=affine))
    network[1].running_mean.uniform_(-1, 1)
    network[1].running_var.uniform_(0.5, 2)
    deployed = deploy(network.eval())
    assert isinstance(deployed[1], nn.Identity)
    x = torch.randn(2, 64, 9, 7)
    with torch.no_grad():
        torch.testing.assert_close(deployed(x), network(x), rtol=1e-5, atol=1e-5)


def test_a_psa_alone():
    psa, x = PSAModule(64, 64).eval(), torch.randn(2, 64, 9, 7)
    torch.testing.assert_close(deploy(psa)(x), psa(x))


def test_a_convolution_shared_by_several_norms_keeps_each():
    """Heads such as RetinaSepBNHead's convolve all levels with one weight."""
    conv = nn.Conv2d(4, 4, 1, bias=False)
    network = nn.ModuleList(nn.Sequential(conv, randomise(nn.BatchNorm2d(4))) for _ in range(3))
    deployed, x = deploy(network.eval()), torch.randn(2, 4, 5, 5)
    for ours, theirs in zip(deployed, network):
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_a_norm_that_does_not_follow_a_convolution_stays():
    network = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), randomise(nn.BatchNorm2d(4)))
    deployed, x = deploy(network.eval()), torch.randn(2, 4, 5, 5)
    assert isinstance(deployed[2], nn.BatchNorm2d)
    torch.testing.assert_close(deployed(x), network(x))


@pytest.mark.parametrize('order', [('norm', 'conv', 'act'), ('conv', 'act', 'norm')])
def test_modules_that_run_in_another_order_than_they_are_defined_stay(order):
    from mmcv.cnn import ConvModule

    module = randomise(ConvModule(4, 4, 1, norm_cfg=dict(type='BN'), order=order)).eval()
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(deploy(module)(x), module(x))


def test_weights_that_do_not_fit_are_refused():
    loaded = deploy(PSAModule(64, 64).eval())
    state = loaded.state_dict()
    state['branches.convs.0.weight'] = torch.zeros(16, 5, 9, 9)
    with pytest.raises(RuntimeError, match='size mismatch'):
        loaded.load_state_dict(state)


def test_refuses_a_network_in_training_and_names_the_part():
    network = EPSANet(50)
    with pytest.raises(ArgumentError, match='eval()'):
        deploy(network)
    network.eval()
    network.layer2[0].bn2.train()
    with pytest.raises(ArgumentError, match=r'layer2\.0\.bn2'):
        deploy(network)


@pytest.mark.parametrize('arch', ['small', 'large'])
def test_compiles_to_one_graph_for_all_sizes(arch):
    from torch._dynamo.testing import CompileCounter

    stages = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))
    deployed = deploy(EPSANet(50, arch, **stages).eval())
    counter = CompileCounter()
    compiled = torch.compile(deployed, backend=counter, fullgraph=True, dynamic=True)
    with torch.no_grad():
        for size in ((2, 3, 64, 96), (3, 3, 70, 93), (2, 3, 128, 80)):
            images = torch.randn(size)
            assert greatest_difference(compiled(images), deployed(images)) < 1e-5
    assert counter.frame_count == 1


METRICS = ('coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP', 'coco/segm_mAP_50')


@pytest.mark.slow
def test_ap_of_a_trained_detector_is_unchanged_by_deploying(tiny_detector, tmp_path):  # noqa: F811
    config = tiny_training(tiny_detector, tmp_path)
    runner = Runner.from_cfg(config)
    runner.train()
    trained = runner.test()
    runner.model = deploy(runner.model)
    assert any(isinstance(module, DeployedPSA) for module in runner.model.modules())
    deployed = runner.test()
    assert trained['coco/bbox_mAP'] > 0.5, 'a low AP would show little'
    for metric in METRICS:
        assert abs(deployed[metric] - trained[metric]) <= 1e-3, metric
