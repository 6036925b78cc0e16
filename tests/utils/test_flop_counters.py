"""Every public counter of FLOPs counts in an EPSANet the convolutions that the paper counts.

The published figures, of 224x224 with the 1000-class head, are multiply-accumulates of
convolutions and the head, and two operations for each value of a batch norm.
"""

from functools import partial

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.analysis import get_model_complexity_info
from mmengine.registry import init_default_scope
from test_flops import Classifier
from torch.utils.flop_counter import FlopCounterMode

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.utils.flops import count_flops

PUBLISHED = {
    (50, 'small'): 3.62,
    (50, 'large'): 4.72,
    (101, 'small'): 6.82,
    (101, 'large'): 8.97,
}
SIZE = (3, 224, 224)


@pytest.fixture(scope='module', params=PUBLISHED, ids=lambda p: f'{p[0]}-{p[1]}')
def case(request):
    """A classifier, the published G, and the G of its batch norms, which some leave out."""
    model = Classifier(EPSANet(*request.param)).eval()
    return model, PUBLISHED[request.param], count_flops(model).norm / 1e9


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
