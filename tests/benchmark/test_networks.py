"""Networks are built by name: backbones, detectors, and options that apply to copies."""

import pytest
import torch

from epsanet_mmdet.benchmark import PublishedPSA, build_network
from epsanet_mmdet.utils.flops import count_parameters

CPU = torch.device('cpu')
SMALL = 'mask-rcnn_epsanet50-s_fpn_1x_coco'


@pytest.mark.parametrize(
    'name, millions',
    [  # published, with the classifier's 2.05 M that these are without
        ('resnet50', 25.56),
        ('resnext50-32x4d', 25.03),
        ('resnest50', 27.48),
        ('epsanet50-s', 22.56),
        ('epsanet50-l', 27.90),
    ],
)
def test_backbones_by_name_have_the_published_size(name, millions):
    module = build_network(name, CPU).module
    assert count_parameters(module) / 1e6 + 2.049 == pytest.approx(millions, abs=0.006)


def test_options_apply_to_copies():
    network = build_network('epsanet50-s+published+channels-last', CPU)
    assert isinstance(network.module.layer1[0].conv2, PublishedPSA)
    assert not isinstance(network.plain.layer1[0].conv2, PublishedPSA)
    assert network.module.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert network.options == ('published', 'channels-last')


def test_a_config_stands_for_its_detector_or_its_backbone():
    assert build_network(SMALL, CPU).is_detector
    assert not build_network(f'{SMALL}:backbone', CPU).is_detector
