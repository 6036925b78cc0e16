"""Networks in channels-last memory format compute what they compute in torch's default one.

mmcv's RoIAlign and deformable convolutions alone would not.
"""

import logging

import pytest
import torch
from mmcv.ops import DeformConv2dPack, ModulatedDeformConv2dPack, RoIAlign, RoIAlignRotated
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.hub import get_config
from mmengine.registry import init_default_scope

from epsanet_mmdet.models import channels_last

CHANNELS_LAST = torch.channels_last
DCNV2 = dict(dcn=dict(type='DCNv2', deform_groups=1), stage_with_dcn=(False, True, True, True))


def tiny(config, backbone, **roi_head):
    """A detector of mmdet's with a narrow backbone, neck and heads."""
    model = get_config(f'mmdet::{config}').model
    model.backbone = dict(depth=50, base_channels=8, frozen_stages=-1, norm_eval=True, **backbone)
    width = 16
    model.neck.update(in_channels=[32, 64, 128, 256], out_channels=width)
    model.rpn_head.update(in_channels=width, feat_channels=width)
    head = model.roi_head
    for extractor in (head.bbox_roi_extractor, head.mask_roi_extractor):
        extractor.out_channels = width
    boxes = head.bbox_head if isinstance(head.bbox_head, list) else [head.bbox_head]
    for box in boxes:
        box.update(in_channels=width, fc_out_channels=32, num_classes=4)
    head.mask_head.update(in_channels=width, conv_out_channels=width, num_classes=4)
    model.test_cfg.rcnn.score_thr = 0.0
    return model


def with_offsets(convolution):
    """Move its points off the grid, on which they begin."""
    torch.nn.init.normal_(convolution.conv_offset.weight, std=0.1)
    return convolution


MASK = 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
CASCADE = 'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py'
DETECTORS = {
    'Mask R-CNN': (MASK, dict(type='ResNet')),
    'Mask R-CNN on EPSANet': (MASK, dict(type='EPSANet', groups=(1, 2, 2, 2))),
    'Cascade Mask R-CNN': (CASCADE, dict(type='ResNet')),
    'Mask R-CNN with DCNv2': (MASK, dict(type='ResNet', **DCNV2)),
}


@pytest.fixture(params=DETECTORS)
def detector(request):
    init_default_scope('mmdet')
    model = MODELS.build(tiny(*DETECTORS[request.param]))
    model.init_weights()
    for name, module in model.named_modules():
        if isinstance(module, ModulatedDeformConv2dPack):
            with_offsets(module)
        if name.endswith('fc_cls'):  # which begins so small that all scores are alike
            torch.nn.init.normal_(module.weight)
    return model


def packed(model):
    torch.manual_seed(1)
    shapes = [(3, 64, 96), (3, 64, 80)]
    inputs = demo_mm_inputs(2, shapes, num_classes=4, with_mask=True)
    return model.data_preprocessor(inputs, training=True)


def in_channels_last(model, data):
    return model.to(memory_format=CHANNELS_LAST), {
        **data,
        'inputs': data['inputs'].contiguous(memory_format=CHANNELS_LAST),
    }


def losses_and_gradients(model, data):
    torch.manual_seed(2)  # of the samplers
    model.zero_grad()
    losses = model(**data, mode='loss')
    total, values = model.parse_losses(losses)
    total.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return {name: value.detach() for name, value in values.items()}, gradients


def test_losses_and_gradients_are_the_same(detector):
    detector.train()
    data = packed(detector)
    losses, gradients = losses_and_gradients(detector, data)
    others, other_gradients = losses_and_gradients(*in_channels_last(detector, data))
    torch.testing.assert_close(others, losses, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(other_gradients, gradients, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def detections(model, data):
    return model(**data, mode='predict')[0].pred_instances


def test_detections_are_the_same(detector):
    detector.eval()
    data = packed(detector)
    expected = detections(detector, data)
    actual = detections(*in_channels_last(detector, data))
    assert len(expected) and len(expected) == len(actual)
    torch.testing.assert_close(actual.scores, expected.scores, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(actual.bboxes, expected.bboxes, atol=1e-2, rtol=1e-3)


ROIS = torch.tensor([[0, 1.0, 2, 9, 12], [1, 3, 0, 15, 10]])
ROTATED = torch.tensor([[0, 6.0, 6, 8, 5, 0.3], [1, 8, 5, 7, 9, -1]])
OPERATORS = {
    'RoIAlign': lambda: lambda x: RoIAlign(4, sampling_ratio=2)(x, ROIS),
    'RoIAlignRotated': lambda: lambda x: RoIAlignRotated(4, 1.0, 2)(x, ROTATED),
    'DeformConv2d': lambda: with_offsets(DeformConv2dPack(8, 6, 3, padding=1)),
    'ModulatedDeformConv2d': lambda: with_offsets(ModulatedDeformConv2dPack(8, 6, 3, padding=1)),
}


@pytest.mark.parametrize('name', OPERATORS)
def test_operators_read_channels_last_maps(name):
    compute, x = OPERATORS[name](), torch.randn(2, 8, 12, 16)
    torch.testing.assert_close(compute(x.contiguous(memory_format=CHANNELS_LAST)), compute(x))


@pytest.mark.parametrize('name', OPERATORS)
def test_mmcv_still_needs_it(name, monkeypatch):
    """When this fails for all, mmcv reads such maps: remove channels_last.py and this file."""
    function = getattr(channels_last, f'{name}Function')
    monkeypatch.setattr(function, 'forward', staticmethod(function.forward.__wrapped__))
    compute, x = OPERATORS[name](), torch.randn(2, 8, 12, 16)
    try:
        wrong = compute(x.contiguous(memory_format=CHANNELS_LAST))
    except RuntimeError as error:
        assert 'must be contiguous' in str(error)
    else:
        assert not torch.allclose(wrong, compute(x), atol=1e-2)


def test_the_first_copy_is_logged(monkeypatch):
    channels_last._log_once.cache_clear()
    lines = []
    monkeypatch.setattr(
        channels_last, 'print_log', lambda line, logger, level: lines.append((line, level))
    )
    x = torch.randn(2, 8, 12, 16)
    align = OPERATORS['RoIAlign']()
    align(x)
    assert not lines
    for _ in range(2):
        align(x.contiguous(memory_format=CHANNELS_LAST))
    ((line, level),) = lines
    assert line.startswith('RoIAlign of mmcv') and level == logging.INFO
