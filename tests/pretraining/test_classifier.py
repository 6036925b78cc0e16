"""The classifier is a linear layer on the mean features of a backbone that is trained whole."""

import copy
import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement

from epsanet_mmdet.config.build import build_without_weights
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.pretraining import ImageClassifier
from epsanet_mmdet.pretraining.classifier import detection_backbone

SLIM = dict(
    type='EPSANet',
    depth=50,
    base_channels=32,
    groups=(1, 2, 4, 8),
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(1,),
    norm_eval=False,
)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


def slim(**options) -> ImageClassifier:
    return ImageClassifier(5, backbone=copy.deepcopy(SLIM), in_channels=256, **options)


def samples(labels):
    return [BaseDataElement(gt_label=torch.tensor(label)) for label in labels]


def test_logits_are_a_linear_function_of_the_mean_features():
    model = slim().eval()
    x = torch.randn(2, 3, 40, 56)
    features = model.backbone(x)[-1]
    expected = features.flatten(2).mean(2) @ model.fc.weight.T + model.fc.bias
    assert torch.allclose(model(x), expected, atol=1e-5)


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_the_loss_is_cross_entropy_with_the_target_smoothed(smoothing):
    model = slim(label_smoothing=smoothing).eval()
    x, labels = torch.randn(3, 3, 32, 32), [4, 0, 2]
    losses = model(x, samples(labels), mode='loss')
    log_p = model(x) - model(x).exp().sum(1, keepdim=True).log()
    target = torch.full((3, 5), smoothing / 5)
    for i, label in enumerate(labels):
        target[i, label] += 1 - smoothing
    assert torch.allclose(losses['loss'], -(target * log_p).sum(1).mean(), atol=1e-5)
    hits = sum(int(row.argmax()) == label for row, label in zip(log_p, labels))
    assert math.isclose(losses['top1'].item(), 100 * hits / 3, rel_tol=1e-5)


def test_predictions_are_probabilities_on_the_samples_given():
    given = samples([1, 2])
    predicted = slim().eval()(torch.randn(2, 3, 32, 32), given, mode='predict')
    assert [s.gt_label for s in predicted] == [1, 2]
    assert all(torch.isclose(s.pred_scores.sum(), torch.tensor(1.0)) for s in predicted)


def test_everything_is_trained():
    model = slim()
    model.init_weights()
    loss = model(torch.randn(4, 3, 32, 32), samples([0, 1, 2, 3]), mode='loss')['loss']
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_another_width_than_the_heads_is_named():
    model = ImageClassifier(5, backbone=copy.deepcopy(SLIM))
    with pytest.raises(ConfigError, match='in_channels=256'):
        model(torch.randn(1, 3, 32, 32))


@pytest.mark.parametrize(
    'detector',
    [
        'mask-rcnn_epsanet50-s_fpn_1x_coco',
        'mask-rcnn_senet50_fpn_1x_coco',
        'retinanet_epsanet101-l_fpn_1x_coco',
        'mask-rcnn_epsanet50-s-slim_fpn_shapes',
    ],
)
def test_a_detectors_backbone_has_the_same_tensors_and_nothing_frozen(detector):
    expected = build_without_weights(load_config(detector).model.backbone).state_dict()
    backbone = MODELS.build(detection_backbone(detector))
    backbone.train()
    assert {k: v.shape for k, v in backbone.state_dict().items()} == {
        k: v.shape for k, v in expected.items()
    }
    assert all(p.requires_grad for p in backbone.parameters())
    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and all(m.training for m in norms)
    assert len(backbone.out_indices) == 1


def test_changes_to_a_detectors_backbone_are_taken():
    model = ImageClassifier(
        5, detector='mask-rcnn_epsanet50-s_fpn_1x_coco', backbone=dict(zero_init_residual=False)
    )
    assert not model.backbone.zero_init_residual and model.backbone.depth == 50


def test_an_unknown_detector_is_named():
    with pytest.raises(ConfigError, match='mask-rcnn_epsanet50-s_fpn_1x_coco'):
        ImageClassifier(5, detector='mask-rcnn_epsanet50_fpn_1x_coco')
