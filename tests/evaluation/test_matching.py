"""Detections are counted as TP, FP and FN, and as confusions, as COCO matches them."""

import numpy as np
import pytest
from coco_case import load_case, write_case

from epsanet_mmdet.evaluation.matching import at_score, confusion_matrix, count_outcomes, match


def outcomes(image):
    return sorted(m.outcome for m in image)


@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
def test_outcomes_are_counted_by_image_and_by_class(tmp_path, iou_type):
    gt, results = load_case(write_case(tmp_path))
    matches = match(gt, results[iou_type], iou_type)
    matches = {i: at_score(image, 0.3) for i, image in matches.items()}
    assert {i: outcomes(image) for i, image in matches.items()} == {
        1: ['FN', 'TP'],
        2: ['FN', 'FP'],
        3: ['FP', 'TP', 'ignored', 'ignored'],
    }
    counts = count_outcomes(matches)
    assert counts[1] == dict(TP=1, FN=1, FP=1)
    assert counts[2] == dict(TP=1, FN=1, FP=1, ignored=2)


def test_detections_below_the_threshold_do_not_count(tmp_path):
    gt, results = load_case(write_case(tmp_path))
    image = match(gt, results['bbox'], 'bbox')[1]
    assert outcomes(image) == outcomes(at_score(image, 0.1)) == ['TP', 'TP']
    assert outcomes(at_score(image, 0.3)) == ['FN', 'TP']


def test_without_detections_every_object_is_an_fn_but_crowds(tmp_path):
    gt, results = load_case(write_case(tmp_path, detections=[]))
    matches = match(gt, results['bbox'], 'bbox')
    assert {m.outcome for image in matches.values() for m in image} == {'FN', 'ignored'}


def test_the_confusion_matrix_has_a_row_of_background_and_a_column_of_fn(tmp_path):
    gt, results = load_case(write_case(tmp_path))
    matches = match(gt, results['bbox'], 'bbox', by_class=False)
    matches = {i: at_score(image, 0.3) for i, image in matches.items()}
    np.testing.assert_array_equal(
        confusion_matrix(matches, [1, 2]),
        [[1, 1, 0], [0, 1, 1], [1, 0, 0]],  # cat, dog, background as cat, dog, FN
    )
