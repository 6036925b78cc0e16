"""The heat of an object is where features raise its score, by the score's own gradient."""

import copy

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from one_line import error_line
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector  # noqa: F401

from epsanet_mmdet.config.load import configs_dir
from epsanet_mmdet.errors import ArgumentError
from epsanet_mmdet.explain.grad_cam import class_activation, detect_with_cams
from epsanet_mmdet.inference.sources import Frame, Source

STEP = 0.02


@pytest.fixture(name='data')
def image_data(detector):
    image = np.random.default_rng(0).integers(0, 255, (48, 80, 3), np.uint8)
    frame = Frame(Source('', 'a.png', image), image, image.shape[:2])
    return detector.collate_fn([detector.prepare(frame)])


@pytest.fixture(scope='module', name='retinanet')
def build_retinanet():
    config = Config.fromfile(configs_dir() / 'epsanet' / 'retinanet_epsanet50-s_fpn_1x_coco.py')
    config.model.backbone.update(init_cfg=None)
    config.model.neck.out_channels = 32
    config.model.bbox_head.update(in_channels=32, feat_channels=32, num_classes=2, stacked_convs=1)
    config.model.test_cfg.update(score_thr=0, max_per_img=5)
    torch.manual_seed(0)
    return MODELS.build(config.model).eval()


class Held:
    """The outputs of a module in the first call, in every call."""

    def __init__(self, function):
        self.function, self.kept = function, None

    def __call__(self, *args, **kwargs):
        if self.kept is None:
            self.kept = self.function(*args, **kwargs)
        return copy.deepcopy(self.kept)


class Replaced:
    """Record the stages of a backbone, or replace them."""

    def __init__(self, backbone):
        self.stages = self.instead = None
        self.handle = backbone.register_forward_hook(self)

    def __call__(self, module, inputs, output):
        if self.instead is not None:
            return self.instead
        self.stages = tuple(stage.detach().clone() for stage in output)


def gradients_of_first(model, data):
    """Return the first detection, the stages it was found in, and its score's gradients."""
    watch, seen = Replaced(model.backbone), []
    original = class_activation

    def spy(activation, gradient, hires):
        seen.append((activation, gradient))
        return original(activation, gradient, hires)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('epsanet_mmdet.explain.grad_cam.class_activation', spy)
        sample, cams = detect_with_cams(model, data, 1, 0)
    (activation, gradient), stage = seen[0], cams[0].stage - 1
    assert torch.equal(activation, watch.stages[stage])
    return sample.pred_instances[0], watch, stage, gradient


def score_again(model, data, watch, stage, change, wanted):
    """Return the score of the same detection with one stage changed."""
    watch.instead = tuple(s + change if i == stage else s for i, s in enumerate(watch.stages))
    with torch.no_grad():
        found = model.test_step(data)[0].pred_instances
    far = (found.bboxes - wanted.bboxes).abs().sum(1) + 1e6 * (found.labels != wanted.labels)
    return float(found.scores[far.argmin()])


def assert_gradient_is_that_of_the_score(model, data):
    wanted, watch, stage, gradient = gradients_of_first(model, data)
    direction = STEP * gradient / gradient.norm()
    try:
        more = score_again(model, data, watch, stage, direction, wanted)
        less = score_again(model, data, watch, stage, -direction, wanted)
    finally:
        watch.handle.remove()
    measured = (more - less) / (2 * STEP)
    assert measured == pytest.approx(float(gradient.norm()), rel=0.03)


def test_the_gradient_is_the_slope_of_the_score_with_proposals_held(detector, data, monkeypatch):
    model = detector.model
    monkeypatch.setattr(model.rpn_head, 'predict', Held(model.rpn_head.predict))
    assert_gradient_is_that_of_the_score(model, data)


def test_the_gradient_is_the_slope_of_the_score_of_an_anchor(retinanet, data):
    assert_gradient_is_that_of_the_score(retinanet, data)


@pytest.mark.parametrize('hires', [False, True])
def test_heat_has_the_size_of_the_image_and_a_maximum_of_1(detector, data, hires):
    sample, cams = detect_with_cams(detector.model, data, 3, 0, hires=hires)
    assert len(cams) == 3 and sample.ori_shape == (48, 80)
    for cam in cams:
        assert cam.heat.shape == (48, 80) and cam.stages == 4 and 1 <= cam.stage <= 4
        assert cam.heat.min() >= 0 and 0 < cam.heat.max() <= 1


def test_detections_are_those_of_the_detector(detector, data):
    sample, cams = detect_with_cams(detector.model, data, 2, 0.1)
    with torch.no_grad():
        expected = detector.model.test_step(data)[0].pred_instances
    expected = expected[expected.scores >= 0.1]
    found = sample.pred_instances
    order = expected.scores.argsort(descending=True, stable=True)
    torch.testing.assert_close(found.scores, expected.scores[order])
    torch.testing.assert_close(found.bboxes, expected.bboxes[order])
    assert not found.scores.requires_grad and len(cams) == 2
    nothing, cams = detect_with_cams(detector.model, data, 2, 1)
    assert len(nothing.pred_instances) == 0 and cams == []


def test_a_blind_half_of_the_features_has_no_heat(detector, data):
    def blind(module, inputs, output):
        return tuple(
            stage * (torch.arange(stage.shape[3]) < stage.shape[3] / 2) for stage in output
        )

    handle = detector.model.backbone.register_forward_hook(blind)
    try:
        _, cams = detect_with_cams(detector.model, data, 5, 0)
    finally:
        handle.remove()
    for cam in cams:
        cell = 80 / 96 * 32  # of the coarsest stage, in pixels of the image
        assert cam.heat[:, round(40 + cell) :].max() == 0 and cam.heat.max() > 0


def test_a_channel_that_the_detector_ignores_has_no_influence(detector, data):
    model = copy.deepcopy(detector.model)
    for lateral in model.neck.lateral_convs:
        lateral.conv.weight.data[:, 0] = 0
    _, before = detect_with_cams(model, data, 3, 0)

    def brighten(module, inputs, output):
        for stage in output:
            stage[:, 0] = 100
        return output

    model.backbone.register_forward_hook(brighten)
    _, after = detect_with_cams(model, data, 3, 0)
    for one, other in zip(before, after):
        torch.testing.assert_close(one.heat, other.heat)


def test_hires_heat_of_a_proposal_stays_near_it(detector, data):
    """RoIAlign reads a level within the box, and the level its stage through 3x3 convolutions."""
    sample, cams = detect_with_cams(
        detector.model, data, 5, 0, layer='neck.lateral_convs.0', hires=True
    )
    for box, cam in zip(sample.pred_instances.bboxes.tolist(), cams):
        left, top, right, bottom = (round(v) for v in box)
        margin = 16
        inside = torch.zeros_like(cam.heat, dtype=torch.bool)
        rows = slice(max(0, top - margin), bottom + margin)
        inside[rows, max(0, left - margin) : right + margin] = True
        assert cam.heat[~inside].sum() < 0.01 * cam.heat.sum() + 1e-6


def test_any_layer_with_maps_can_be_chosen_even_before_one_that_works_in_place(detector, data):
    for layer in ('backbone.layer2.1.conv2', 'backbone.layer3.0.bn3', 'backbone.layer4'):
        _, cams = detect_with_cams(detector.model, data, 1, 0, layer=layer)
        assert cams[0].stages == 1 and cams[0].heat.shape == (48, 80)


def test_the_model_stays_as_it_was(detector, data):
    learning = [p.requires_grad for p in detector.model.parameters()]
    detect_with_cams(detector.model, data, 1, 0)
    assert [p.requires_grad for p in detector.model.parameters()] == learning
    assert all(p.grad is None for p in detector.model.parameters())
    assert not detector.model.backbone._forward_hooks


def test_the_map_is_the_positive_part_of_the_weighted_sum():
    activation, gradient = torch.randn(2, 1, 3, 4, 5)
    heat = class_activation(activation, gradient)
    hires = class_activation(activation, gradient, hires=True)
    for y in range(4):
        for x in range(5):
            values = activation[0, :, y, x]
            means = torch.stack([gradient[0, c].mean() for c in range(3)])
            expected = float((values * means).sum().clamp(min=0))
            assert float(heat[0, 0, y, x]) * peak(activation, means) == pytest.approx(
                expected, abs=1e-5
            )
            own = float((values * gradient[0, :, y, x]).sum().clamp(min=0))
            assert (float(hires[0, 0, y, x]) > 0) == (own > 0)
    assert heat.max() == hires.max() == 1
    torch.testing.assert_close(class_activation(activation, 7 * gradient), heat)
    assert class_activation(activation, torch.zeros_like(gradient)).max() == 0


def peak(activation, weights):
    return float(torch.einsum('chw,c->hw', activation[0], weights).max())


@pytest.mark.parametrize(
    ('layer', 'words'),
    [
        ('backbon', "no layer 'backbon'; did you mean 'backbone'"),
        ('roi_head.bbox_head.fc_cls', 'returns no feature map'),
        ('roi_head.mask_head.convs.0', 'the scores have no gradient'),
    ],
)
def test_a_layer_that_cannot_be_explained_is_one_line(detector, data, layer, words):
    assert words in error_line(
        ArgumentError, detect_with_cams, detector.model, data, 1, 0, layer=layer
    )
    assert not any(module._forward_hooks for module in detector.model.modules())
