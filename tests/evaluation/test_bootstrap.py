"""The interval of AP is that of COCO's AP over resampled images, and covers the true AP."""

import numpy as np
import pytest
from coco_case import load_case, write_case
from synthetic_detections import as_coco, synthetic_images

from epsanet_mmdet.evaluation.bootstrap import bootstrap_ap, match_classes, weighted_ap
from epsanet_mmdet.evaluation.metrics import evaluate


def ap_of(images):
    return evaluate(*as_coco(images), 'bbox').summary['AP']


def test_weighing_images_equals_evaluating_copies_of_them():
    images = synthetic_images(12, seed=3)
    weights = np.random.default_rng(0).multinomial(12, [1 / 12] * 12, 6)
    weights = np.vstack([weights, np.ones((1, 12), int), np.eye(12, dtype=int)[:2] * 12])
    wanted = [ap_of([images[i] for i in np.repeat(np.arange(12), row)]) for row in weights]
    found = weighted_ap(match_classes(*as_coco(images), 'bbox'), weights)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
def test_without_resampling_it_is_the_ap_of_the_report(iou_type, tmp_path):
    gt, results = load_case(write_case(tmp_path))  # with a crowd, and a class that is missed
    ap = weighted_ap(match_classes(gt, results[iou_type], iou_type), np.ones((1, 3), int))
    assert ap == pytest.approx(evaluate(gt, results[iou_type], iou_type).summary['AP'])


def test_95_percent_intervals_cover_the_true_ap_about_as_often():
    truth = ap_of(synthetic_images(3000, seed=1))
    covered, below = [], []
    for seed in range(60):
        gt, dt = as_coco(synthetic_images(100, seed=1000 + seed))
        interval = bootstrap_ap(gt, [dt], 'bbox', resamples=150, seed=seed)
        covered.append(interval.low <= truth <= interval.high)
        below.append(interval.high < truth)
    assert np.mean(covered) > 0.88
    assert np.mean(below) < 0.08


def test_more_images_give_narrower_intervals_and_equal_seeds_equal_ones():
    def interval(count):
        gt, dt = as_coco(synthetic_images(count, seed=5))
        return bootstrap_ap(gt, [dt], 'bbox', resamples=200)

    few, many = interval(25), interval(400)
    assert many.high - many.low < (few.high - few.low) / 2
    assert interval(25) == few
    assert few.low < ap_of(synthetic_images(25, seed=5)) < few.high


def test_the_interval_of_several_seeds_is_that_of_their_mean():
    images = synthetic_images(40, seed=2)
    gt, good = as_coco(images)
    _, bad = as_coco([(objects, found[:1]) for objects, found in images])
    one, other, both = (bootstrap_ap(gt, d, 'bbox', 200) for d in ([good], [bad], [good, bad]))
    assert other.low < both.low < one.low and other.high < both.high < one.high


def test_images_without_objects_or_a_single_image_have_no_interval():
    assert bootstrap_ap(*one_seed(as_coco(synthetic_images(1, seed=0))), 'bbox') is None
    empty = [([], found) for _, found in synthetic_images(5, seed=0)]
    assert bootstrap_ap(*one_seed(as_coco(empty)), 'bbox') is None
    nothing = [(objects, []) for objects, _ in synthetic_images(5, seed=0)]
    interval = bootstrap_ap(*one_seed(as_coco(nothing)), 'bbox')
    assert (interval.low, interval.high) == (0, 0)


def one_seed(pair):
    gt, dt = pair
    return gt, [dt]


def test_large_test_sets_use_fewer_resamples(monkeypatch):
    gt, dt = as_coco(synthetic_images(30, seed=0))
    monkeypatch.setattr('epsanet_mmdet.evaluation.bootstrap.WORK', 1)
    assert bootstrap_ap(gt, [dt], 'bbox').resamples == 100
    assert bootstrap_ap(gt, [dt], 'bbox', resamples=7).resamples == 7
