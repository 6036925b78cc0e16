"""Detections of two runtimes are compared whatever their order."""

import numpy as np
import pytest

from epsanet_mmdet.deploy.agreement import compare_detections

SIZE = (100, 200)
FLOOR = 0.05


def detections(*rows, masks=None):
    boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    scores, labels = np.array([row[4] for row in rows]), np.array([row[5] for row in rows])
    return [boxes, scores, labels] if masks is None else [boxes, scores, labels, masks]


TWO = detections((0, 0, 50, 50, 0.9, 1), (60, 60, 99, 99, 0.5, 0))


def difference(got, expected=TWO):
    return compare_detections(got, expected, SIZE, FLOOR).difference


def test_the_same_in_another_order():
    assert difference([part[::-1] for part in TWO]) == 0


def test_a_moved_box_counts_as_a_share_of_the_longer_side():
    moved = detections((0, 1, 50, 50, 0.9, 1), (60, 60, 99, 99, 0.5, 0))
    assert difference(moved) == pytest.approx(1 / 200)


def test_another_score():
    other = detections((0, 0, 50, 50, 0.899, 1), (60, 60, 99, 99, 0.5, 0))
    assert difference(other) == pytest.approx(0.001)


@pytest.mark.parametrize(
    'got, lost',
    [
        (detections((0, 0, 50, 50, 0.9, 1)), 0.5),
        (detections(*[(0, 0, 50, 50, 0.9, 1)] * 2, (60, 60, 99, 99, 0.5, 0)), 0.9),
        (detections((0, 0, 50, 50, 0.9, 0), (60, 60, 99, 99, 0.5, 0)), 0.9),  # another label
        (detections((0, 9, 50, 50, 0.9, 1), (60, 60, 99, 99, 0.5, 0)), 0.9),  # another place
    ],
)
def test_a_detection_that_only_one_has_counts_by_its_score_above_the_floor(got, lost):
    assert difference(got) == pytest.approx(lost - FLOOR)
    assert difference(TWO, got) == pytest.approx(lost - FLOOR)


def test_nothing_equals_nothing_but_not_something():
    assert difference(detections(), detections()) == 0
    assert difference(detections(), TWO) > 0.8


def test_masks_count_by_the_share_of_other_pixels():
    masks = np.zeros((1, *SIZE), bool)
    expected = detections((0, 0, 50, 50, 0.9, 1), masks=masks)
    other = masks.copy()
    other[0, :10, :20] = True
    got = detections((0, 0, 50, 50, 0.9, 1), masks=other)
    assert difference(got, expected) == pytest.approx(0.01)


def test_one_in_ten_may_be_exchanged_for_another_box():
    rows = [(x, 0, x + 9, 9, 0.9 - x / 1000, 0) for x in range(0, 100, 5)]
    moved = (40, 3, 49, 12, 0.86, 0)

    def without(*places):
        return detections(*(moved if row[0] in places else row for row in rows))

    agreement = compare_detections(without(40), detections(*rows), SIZE, FLOOR)
    assert agreement.difference == 0 and agreement.common == len(rows) - 1
    assert compare_detections(without(40, 60), detections(*rows), SIZE, FLOOR).difference > 0.7


def test_a_value_that_is_no_number_is_no_agreement():
    nan = detections((0, 0, 50, 50, 0.9, 1), (60, 60, 99, 99, np.nan, 0))
    assert not difference(nan) < 1
