"""Metrics and pairs of a case that can be told by hand."""

import numpy as np
import pytest
from coco_case import write_case

from epsanet_mmdet.evaluation.data import load_results, load_truth
from epsanet_mmdet.evaluation.matching import confusion_matrix, count_outcomes, match
from epsanet_mmdet.evaluation.metrics import evaluate


def load(case):
    truth = load_truth(case.ann_file)
    return truth, load_results(truth, case.results)


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_perfect_results(tmp_path, kind):
    truth = [(1, 1, 0, 0), (2, 2, 50, 50)]
    found = [(1, 1, 0, 0, 0.9), (2, 2, 50, 50, 0.8)]
    coco, results = load(write_case(tmp_path, ('cat', 'dog', 'cow'), truth, found))
    evaluation = evaluate(coco, results[kind], kind)
    assert evaluation.summary['AP'] == evaluation.summary['AP small'] == pytest.approx(1)
    assert evaluation.summary['AP large'] is None
    assert [(c.name, c.objects, c.ap) for c in evaluation.classes] == [
        ('cat', 1, pytest.approx(1)),
        ('dog', 1, pytest.approx(1)),
        ('cow', 0, None),
    ]


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_mixed_results(tmp_path, kind):
    coco, results = load(write_case(tmp_path))
    evaluation = evaluate(coco, results[kind], kind)
    # cats: right, wrong; of 2. dogs: wrong, right, in a crowd, right; of 2
    cat = 51 / 101
    dog = 2 / 3
    assert evaluation.classes[0].ap50 == pytest.approx(cat)
    assert evaluation.classes[1].ap50 == pytest.approx(dog)
    assert evaluation.summary['AP50'] == pytest.approx((cat + dog) / 2)


def test_nothing_found(tmp_path):
    coco, results = load(write_case(tmp_path, found=[]))
    assert evaluate(coco, results['bbox'], 'bbox').summary['AP'] == 0
    pairs = match(coco, results['bbox'], 'bbox', 0.3)
    assert {p.outcome for image in pairs.values() for p in image} == {'missed', 'ignored'}


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_pairs(tmp_path, kind):
    coco, results = load(write_case(tmp_path))
    pairs = match(coco, results[kind], kind, 0.3)
    assert {i: sorted(p.outcome for p in image) for i, image in pairs.items()} == {
        1: ['found', 'missed'],
        2: ['false', 'missed'],
        3: ['false', 'found', 'ignored', 'ignored'],
    }
    counts = count_outcomes(pairs)
    assert counts[1] == dict(found=1, missed=1, false=1)
    assert counts[2] == dict(found=1, missed=1, false=1, ignored=2)
    lower = match(coco, results[kind], kind, 0.05)
    assert sorted(p.outcome for p in lower[1]) == ['found', 'found']


def test_confusion(tmp_path):
    coco, results = load(write_case(tmp_path))
    pairs = match(coco, results['bbox'], 'bbox', 0.3, by_class=False)
    np.testing.assert_array_equal(
        confusion_matrix(pairs, [1, 2]),
        [[1, 1, 0], [0, 1, 1], [1, 0, 0]],  # cat, dog, background as cat, dog, missed
    )
