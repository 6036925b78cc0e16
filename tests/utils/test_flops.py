"""Our counter and every public one count the published parameters and FLOPs of EPSANet.

The published FLOPs, at 224x224 with the 1000-class head, are multiply-accumulates of convolutions
and the head, and two operations for each value of a batch norm.
"""

from functools import partial

import pytest
import torch
from mmdet.models import ResNet
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.analysis import get_model_complexity_info
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.utils.flops import count_flops, count_parameters

COCO_INPUT = (3, 800, 1280)

# Params in M and FLOPs in G, from the README of the authors' repository murufeng/EPSANet.
IMAGENET = {
    (50, 'small'): (22.56, 3.62),
    (50, 'large'): (27.90, 4.72),
    (101, 'small'): (38.90, 6.82),
    (101, 'large'): (49.59, 8.97),
}
COCO_PARAMETERS = {
    'faster-rcnn_epsanet50-s_fpn_1x_coco': 38.56,
    'faster-rcnn_epsanet50-l_fpn_1x_coco': 43.85,
    'mask-rcnn_epsanet50-s_fpn_1x_coco': 41.20,
    'mask-rcnn_epsanet50-l_fpn_1x_coco': 46.50,
    'retinanet_epsanet50-s_fpn_1x_coco': 34.78,
    'retinanet_epsanet50-l_fpn_1x_coco': 40.07,
}
# Faster R-CNN: 197.07 and 219.64 against ResNet-50's 207.07.
COCO_FLOPS_OVER_RESNET50 = {'small': -10.00, 'large': 12.57}


class Classifier(nn.Module):
    """A backbone with the 1000-class head of the ImageNet tables."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.fc = backbone, nn.Linear(2048, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.backbone(x)[-1].mean((2, 3)))


@pytest.mark.parametrize(('depth', 'arch'), IMAGENET)
def test_imagenet_costs_are_the_published_ones(depth, arch):
    parameters, flops = IMAGENET[depth, arch]
    with torch.device('meta'):
        model = Classifier(EPSANet(depth, arch=arch))
    assert round(count_parameters(model) / 1e6, 2) == parameters
    assert count_flops(model).classification / 1e9 == pytest.approx(flops, abs=0.01)


@pytest.mark.parametrize('config', COCO_PARAMETERS)
def test_coco_parameters_are_the_published_ones(config):
    detector = MODELS.build(load_config(config).model)
    assert round(count_parameters(detector) / 1e6, 2) == COCO_PARAMETERS[config]


@pytest.mark.parametrize('config', COCO_PARAMETERS)
def test_coco_flops_differ_from_resnet50_as_published(config):
    backbone = load_config(config).model.backbone
    with torch.device('meta'):
        model, resnet = MODELS.build(backbone), ResNet(50)
    difference = (
        count_flops(model, COCO_INPUT).detection - count_flops(resnet, COCO_INPUT).detection
    )
    expected = COCO_FLOPS_OVER_RESNET50[backbone.arch]
    assert difference / 1e9 == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ('layer', 'shape', 'flops'),
    [
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 5, 7), 6 * 2 * 9 * 35 + 6 * 35),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), (4, 5, 7), 6 * 4 * 9 * 12),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False), (4, 5, 7), 4 * 6 * 4 * 35),
        (nn.BatchNorm2d(4), (4, 5, 7), 2 * 140),
        (nn.MaxPool2d(2), (4, 6, 6), 144),
    ],
)
def test_counts_one_layer_by_hand(layer, shape, flops):
    model = nn.Sequential(layer)
    model.register_parameter('where', nn.Parameter(torch.zeros(1)))
    assert count_flops(model, shape).detection == flops


def test_counting_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    count_flops(model, (3, 4, 4))
    assert model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(layer._forward_hooks for layer in model.modules())


# Public counters

SIZE = (3, 224, 224)


@pytest.fixture(scope='module', params=IMAGENET, ids=lambda p: f'{p[0]}-{p[1]}')
def case(request):
    """A classifier, the published G, and the G of its batch norms, which some leave out."""
    model = Classifier(EPSANet(*request.param)).eval()
    return model, IMAGENET[request.param][1], count_flops(model).norm / 1e9


def test_mmengine_counts_the_published_flops(case):
    model, published, _ = case
    flops = get_model_complexity_info(model, SIZE, show_table=False, show_arch=False)['flops']
    assert flops / 1e9 == pytest.approx(published, rel=0.01)


def test_torch_counts_two_operations_for_each_multiply_accumulate_but_no_norms(case):
    model, published, norms = case
    x = torch.zeros(1, *SIZE)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert counter.get_total_flops() / 2e9 == pytest.approx(published - norms, abs=0.01)


def test_torch_counts_a_training_step_alike_on_every_device():
    flops = {}
    for device in ('cpu', 'meta'):
        model = EPSANet(50, frozen_stages=-1, norm_eval=False).to(device).train()
        with FlopCounterMode(display=False) as counter:
            sum(out.sum() for out in model(torch.zeros(1, *SIZE, device=device))).backward()
        flops[device] = counter.get_flop_counts()['Global']
    assert flops['cpu'] == flops['meta']
    assert {str(operator) for operator in flops['cpu']} >= {
        'aten.convolution',
        'aten.convolution_backward',
    }


def test_fvcore_counts_the_published_flops(case):
    analysis = pytest.importorskip('fvcore.nn')
    model, published, _ = case
    flops = analysis.FlopCountAnalysis(model, torch.zeros(1, *SIZE))
    flops.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    assert flops.total() / 1e9 == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize('backend', ['pytorch', 'aten'])
def test_ptflops_counts_the_published_flops(case, backend):
    ptflops = pytest.importorskip('ptflops')
    model, published, _ = case
    macs, _ = ptflops.get_model_complexity_info(
        model, SIZE, backend=backend, as_strings=False, print_per_layer_stat=False
    )
    assert macs / 1e9 == pytest.approx(published, rel=0.015)


@pytest.mark.parametrize('name', ['epsanet50-s', 'epsanet50-l'])
def test_mmdet_s_get_flops_counts_the_convolutions_of_a_detector(name):
    """As mmdet's ``tools/analysis_tools/get_flops.py`` calls mmengine."""
    init_default_scope('mmdet')
    size, flops, backbones = (3, 256, 320), [], []
    config = load_config(f'retinanet_{name}_fpn_1x_coco').model
    for backbone in (config.backbone, dict(type='ResNet', depth=50)):
        config.backbone = {**backbone, 'init_cfg': None}
        detector = MODELS.build(config).eval()
        meta = dict(img_shape=size[1:], ori_shape=size[1:], scale_factor=(1.0, 1.0))
        detector.forward = partial(detector.forward, data_samples=[DetDataSample(metainfo=meta)])
        counted = get_model_complexity_info(
            detector, None, inputs=torch.zeros(1, *size), show_table=False, show_arch=False
        )
        flops.append(counted['flops'])
        backbones.append(count_flops(detector.backbone, size).classification)
    assert flops[0] - flops[1] == pytest.approx(backbones[0] - backbones[1], rel=0.005)
