"""Backbone weights named in a config are loaded, or a warning says that they are missing."""

import logging

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.logging import MMLogger
from torch import nn

from epsanet_mmdet.errors import CheckpointError
from epsanet_mmdet.models import EPSANet

TWO_STAGES = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))


def build(path, **options) -> nn.Module:
    init_cfg = dict(type='PretrainedIfPresent', checkpoint=str(path), **options.pop('init', {}))
    config = dict(type='EPSANet', depth=50, init_cfg=init_cfg, **TWO_STAGES, **options)
    return MODELS.build(config)


@pytest.fixture
def warnings(monkeypatch):
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def test_existing_weights_are_loaded_without_a_warning(tmp_path, warnings):
    trained = EPSANet(50, **TWO_STAGES)
    torch.save(trained.state_dict(), tmp_path / 'weights.pth')
    model = build(tmp_path / 'weights.pth')
    model.init_weights()
    assert all(v.equal(trained.state_dict()[k]) for k, v in model.state_dict().items())
    assert not warnings


def test_inside_a_detector_they_stay_loaded(tmp_path):
    """No block may overwrite the loaded weights when it is initialized."""
    trained = EPSANet(50, **TWO_STAGES)
    nn.init.constant_(trained.layer1[0].norm3.weight, 0.5)
    torch.save(trained.state_dict(), tmp_path / 'weights.pth')
    plugins = [dict(cfg=dict(type='ContextBlock', ratio=0.25), position='after_conv3')]
    for options in (dict(), dict(plugins=plugins), dict(zero_init_residual=True)):
        outer = nn.Module()
        model = build(tmp_path / 'weights.pth', **options)
        outer.backbone = model
        model.init_weights()
        for name, value in trained.state_dict().items():
            assert model.state_dict()[name].equal(value), name


def test_a_prefix_takes_the_backbone_out_of_a_detector(tmp_path):
    trained = EPSANet(50, **TWO_STAGES)
    state = {f'backbone.{k}': v for k, v in trained.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'detector.pth')
    model = build(tmp_path / 'detector.pth', init=dict(prefix='backbone.'))
    model.init_weights()
    assert model.conv1.weight.equal(trained.conv1.weight)


def test_a_missing_file_is_a_warning_with_the_remedy(tmp_path, warnings):
    build(tmp_path / 'absent.pth').init_weights()
    assert len(warnings) == 1
    for part in ('random weights', 'absent.pth', 'init_cfg.checkpoint', 'scratch'):
        assert part in warnings[0]


@pytest.mark.parametrize('zero', [True, False])
def test_without_the_file_the_initialization_is_that_of_resnet(zero, tmp_path):
    absent = build(tmp_path / 'absent.pth', zero_init_residual=zero)
    plain = EPSANet(50, zero_init_residual=zero, **TWO_STAGES)
    for model in (absent, plain):
        torch.manual_seed(0)
        model.init_weights()
    for (name, a), b in zip(absent.named_parameters(), plain.parameters()):
        if a.ndim == 1:
            assert a.equal(b), name
        else:
            assert a.std().item() == pytest.approx(b.std().item(), rel=0.15, abs=0.03), name


def test_weights_of_another_architecture_are_refused(tmp_path):
    torch.save(EPSANet(50, 'large', **TWO_STAGES).state_dict(), tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match='another architecture than EPSANet'):
        build(tmp_path / 'weights.pth').init_weights()
