"""COCO's metrics of a case small enough to compute by hand."""

import pytest
from coco_case import load_case, write_case

from epsanet_mmdet.evaluation.metrics import evaluate, precision_curve


@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
def test_perfect_detections_have_an_ap_of_1(tmp_path, iou_type):
    objects = [(1, 1, 0, 0), (2, 2, 50, 50)]
    detections = [(1, 1, 0, 0, 0.9), (2, 2, 50, 50, 0.8)]
    gt, results = load_case(write_case(tmp_path, ('cat', 'dog', 'cow'), objects, detections))
    evaluation = evaluate(gt, results[iou_type], iou_type)
    assert evaluation.summary['AP'] == evaluation.summary['AP small'] == pytest.approx(1)
    assert evaluation.summary['AP large'] is None
    assert [(c.name, c.objects, c.ap) for c in evaluation.classes] == [
        ('cat', 1, pytest.approx(1)),
        ('dog', 1, pytest.approx(1)),
        ('cow', 0, None),
    ]


@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
def test_ap50_of_mixed_detections_is_that_computed_by_hand(tmp_path, iou_type):
    gt, results = load_case(write_case(tmp_path))
    evaluation = evaluate(gt, results[iou_type], iou_type)
    # cats: TP, FP; 2 objects. dogs: FP, TP, in a crowd, TP; 2 objects
    cat = 51 / 101
    dog = 2 / 3
    assert evaluation.classes[0].ap50 == pytest.approx(cat)
    assert evaluation.classes[1].ap50 == pytest.approx(dog)
    assert evaluation.summary['AP50'] == pytest.approx((cat + dog) / 2)


def test_ap_without_detections_is_0(tmp_path):
    gt, results = load_case(write_case(tmp_path, detections=[]))
    assert evaluate(gt, results['bbox'], 'bbox').summary['AP'] == 0


def test_the_precision_curve_is_the_mean_of_classes_and_thresholds(tmp_path):
    gt, results = load_case(write_case(tmp_path))
    evaluation = evaluate(gt, results['bbox'], 'bbox')
    curve = precision_curve([evaluation, evaluation], slice(0, 1))
    assert curve[0.5] == pytest.approx((1 + 2 / 3) / 2) and curve[1.0] == pytest.approx(1 / 3)
    assert precision_curve([evaluation])[0.5] == pytest.approx(curve[0.5])  # boxes match exactly
    assert precision_curve([]) == {}
