"""A whole detector without branches computes what mmdet predicts."""

import numpy as np
import pytest
import torch
from exportable import KINDS, picture, predicted, small_detector
from mmdet.registry import MODELS
from mmengine.hub import get_config
from one_line import error_line

from epsanet_mmdet.deploy import WholeDetector, deploy
from epsanet_mmdet.deploy.agreement import compare_detections
from epsanet_mmdet.deploy.selection import final_options
from epsanet_mmdet.errors import ArgumentError

SIZES = [((160, 192), (160, 192)), ((97, 203), (251, 400)), ((203, 97), (301, 180))]


def whole_outputs(detector, image, original_size):
    with torch.no_grad():
        outputs = WholeDetector(detector)(torch.from_numpy(image), torch.tensor(original_size))
    return [output.numpy() for output in outputs]


@pytest.mark.parametrize('kind', KINDS)
def test_boxes_scores_labels_and_masks_at_any_size(kind):
    detector = small_detector(kind)
    deployed = deploy(detector)
    for size, original in SIZES:
        image = picture(*size)
        expected = predicted(detector, image, original)
        assert len(expected[1]) > 5 and len(set(expected[2])) > 1
        got = whole_outputs(deployed, image, original)
        assert len(got) == len(expected) == (4 if kind == 'mask-rcnn' else 3)
        floor = expected[1].min()
        assert compare_detections(got, expected, original, floor).difference < 1e-4


VARIANTS = {
    'boxes of all classes alike': ('mask-rcnn', {'roi_head.bbox_head.reg_class_agnostic': True}),
    'masks of all classes alike': ('mask-rcnn', {'roi_head.mask_head.class_agnostic': True}),
    'softmax in the RPN': (
        'faster-rcnn',
        {'rpn_head.loss_cls': dict(type='CrossEntropyLoss', use_sigmoid=False)},
    ),
    'nothing normalised, RGB as it is': (
        'faster-rcnn',
        {'data_preprocessor': dict(mean=None, std=None, bgr_to_rgb=False)},
    ),
    'padding with other values': ('faster-rcnn', {'data_preprocessor.pad_value': 9}),
    'boxes across the border': ('retinanet', {'bbox_head.bbox_coder.clip_border': False}),
    'large boxes only': ('retinanet', {'test_cfg.min_bbox_size': 20}),
    'one map for all boxes': (
        'faster-rcnn',
        {'roi_head.bbox_roi_extractor.featmap_strides': [8], 'neck.start_level': 1},
    ),
}


@pytest.mark.parametrize('kind, options', VARIANTS.values(), ids=VARIANTS)
def test_options_of_mmdet(kind, options):
    detector = small_detector(kind, **options)
    image, original = picture(97, 203), (251, 400)
    expected = predicted(detector, image, original)
    assert len(expected[1]) > 5
    got = whole_outputs(deploy(detector), image, original)
    assert compare_detections(got, expected, original, expected[1].min()).difference < 1e-4


@pytest.mark.parametrize('kind', KINDS)
def test_no_detections(kind):
    detector = small_detector(kind)
    final_options(detector).score_thr = 1.0
    got = whole_outputs(deploy(detector), picture(64, 96), (128, 192))
    assert [part.shape[0] for part in got] == [0] * len(got)
    assert got[0].shape == (0, 4)
    if kind == 'mask-rcnn':
        assert got[3].shape == (0, 128, 192) and got[3].dtype == np.bool_


def test_a_head_with_other_outputs_is_refused():
    config = get_config('mmdet::atss/atss_r50_fpn_1x_coco.py')
    detector = MODELS.build(dict(config.model, _scope_='mmdet')).eval()
    line = error_line(ArgumentError, whole_outputs, detector, picture(64, 96), (64, 96))
    assert 'ATSSHead weights its scores' in line
