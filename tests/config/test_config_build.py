"""A model is built without the weights that its config names, and its backbone found in it."""

import pytest

from epsanet_mmdet.config.build import (
    backbone_checkpoint,
    backbone_config,
    build_without_weights,
)
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.models import EPSANet

NAME = 'mask-rcnn_epsanet50-s_fpn_1x_coco'
PRETRAINING = 'epsanet50-s_8xb32_in1k'


@pytest.mark.parametrize('part', ['detector', 'backbone'])
def test_a_model_is_built_and_initialised_without_the_file_that_its_config_names(part):
    model = load_config(NAME).model
    model = model if part == 'detector' else model.backbone
    given = model.to_dict()
    built = build_without_weights(model)
    built.init_weights()  # would stop if it looked for the file
    assert model.to_dict() == given
    assert type(getattr(built, 'backbone', built)) is EPSANet


@pytest.mark.parametrize(
    ('init_cfg', 'file'),
    [
        (dict(type='Pretrained', checkpoint='a.pth'), 'a.pth'),
        (dict(type='Kaiming', layer='Conv2d'), None),
        ([dict(type='Kaiming', layer='Conv2d')], None),
        (None, None),
    ],
)
def test_the_file_that_a_backbone_starts_from(init_cfg, file):
    assert backbone_checkpoint(dict(type='ResNet', init_cfg=init_cfg)) == file
    assert backbone_checkpoint(dict(type='ResNet')) is None


def test_the_backbone_of_a_detector_is_its_own():
    assert backbone_config(NAME) == load_config(NAME).model.backbone


def test_the_backbone_of_a_pre_training_is_the_detectors_with_changes():
    changes = load_config(PRETRAINING).model.backbone
    assert changes == dict(zero_init_residual=False)
    assert backbone_config(PRETRAINING) == {**backbone_config(NAME), **changes}


def test_a_config_without_a_backbone_is_named(tmp_path):
    (tmp_path / 'none.py').write_text('a = 1')
    with pytest.raises(ConfigError, match="none.py' has no model.backbone"):
        backbone_config(str(tmp_path / 'none.py'))
