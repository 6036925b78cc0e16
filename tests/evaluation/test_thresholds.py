"""Precision, recall and F1 at each score are those of matching by hand, and the best is marked."""

import numpy as np
import pytest
from synthetic_detections import as_coco, synthetic_images

from epsanet_mmdet.evaluation.matching import at_score, match
from epsanet_mmdet.evaluation.thresholds import score_curve


def iou(a, b):
    sides = [min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    shared = max(0, sides[0]) * max(0, sides[1])
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def count_by_hand(images, threshold):
    """Return TP, detections and objects: each detection takes the free object it overlaps most."""
    tp = detections = total = 0
    for objects, found in images:
        free = list(objects)
        total += len(free)
        for category, box, score in sorted(found, key=lambda item: -item[2]):
            if score < threshold:
                continue
            detections += 1
            rivals = [o for o in free if o[0] == category and iou(o[1], box) >= 0.5]
            if rivals:
                free.remove(max(rivals, key=lambda o: iou(o[1], box)))
                tp += 1
    return tp, detections, total


def pairs_of(images):
    return [pair for image in match(*as_coco(images), 'bbox').values() for pair in image]


@pytest.mark.parametrize('seed', range(3))
def test_the_curve_is_that_of_matching_anew_at_each_threshold(seed):
    images = synthetic_images(40, seed=seed)
    curve = score_curve(pairs_of(images))
    assert curve.scores == [i / 100 for i in range(101)]
    for i, threshold in enumerate(curve.scores):
        tp, detections, objects = count_by_hand(images, threshold)
        assert curve.recall[i] == pytest.approx(tp / objects)
        assert curve.f1[i] == pytest.approx(2 * tp / (detections + objects))
        if detections:
            assert curve.precision[i] == pytest.approx(tp / detections)
        else:
            assert np.isnan(curve.precision[i])


@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.77, 2.0])
def test_leaving_out_low_scores_equals_matching_without_them(threshold):
    images = synthetic_images(40, seed=9)
    kept = [(objects, [f for f in found if f[2] >= threshold]) for objects, found in images]

    def outcomes(pairs):
        return sorted((p.outcome, p.dt['score'] if p.dt else 0) for p in pairs)

    assert outcomes(at_score(pairs_of(images), threshold)) == outcomes(pairs_of(kept))


def test_the_recommended_score_has_the_highest_f1_and_is_the_highest_such_score():
    curve = score_curve(pairs_of(synthetic_images(40, seed=4)))
    assert 0 < curve.recommended < 1
    assert curve.f1[curve.best] == max(curve.f1) > max(curve.f1[curve.best + 1 :])


def test_scores_beyond_0_and_1_have_thresholds():
    images = [(o, [(c, b, 20 * s - 5) for c, b, s in f]) for o, f in synthetic_images(9, seed=0)]
    scores = [s for _, found in images for *_, s in found]
    curve = score_curve(pairs_of(images))
    assert curve.scores[0] == pytest.approx(min(0, *scores))
    assert curve.scores[-1] == pytest.approx(max(1, *scores))


def test_without_objects_or_detections_there_is_no_f1():
    images = synthetic_images(5, seed=0)
    nothing = score_curve(pairs_of([(objects, []) for objects, _ in images]))
    assert not nothing.f1.any() and np.isnan(nothing.precision).all()
    empty = score_curve(pairs_of([([], found) for _, found in images]))
    assert nothing.recommended is None and empty.recommended is None
    assert np.isnan(empty.f1).all() and not np.nan_to_num(empty.precision).any()
    assert np.isnan(score_curve([]).f1).all()
