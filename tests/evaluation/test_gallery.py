"""A gallery embeds every detection that its slider can show, and knows which objects they find."""

import numpy as np
import pytest
from synthetic_detections import as_coco, synthetic_images

from epsanet_mmdet.evaluation.gallery import DETECTIONS, worst_pictures
from epsanet_mmdet.evaluation.matching import at_score, match


def gallery_of(images, score_thr=0.3, folder='.'):
    gt, dt = as_coco(images)
    matches = match(gt, dt, 'bbox')
    return worst_pictures(gt, {'model': (dt, matches)}, folder, 99, score_thr), matches


def shapes_of(gallery):
    return [(picture, shape) for picture in gallery.pictures for shape in picture.panels[0][1]]


def test_images_with_most_errors_at_the_threshold_come_first():
    gallery, matches = gallery_of(synthetic_images(20, seed=1))
    errors = [
        sum(m.outcome in ('FP', 'FN') for m in at_score(matches[int(p.name[:-4])], 0.3))
        for p in gallery.pictures
    ]
    assert errors == sorted(errors, reverse=True) and errors[0] > errors[-1]


def test_few_detections_are_all_embedded_and_the_slider_begins_at_0():
    images = synthetic_images(20, seed=1)
    gallery, _ = gallery_of(images)
    shown = [s.score for _, s in shapes_of(gallery) if s.outcome in ('TP', 'FP')]
    assert sorted(shown) == sorted(score for _, found in images for *_, score in found)
    assert (gallery.lowest, gallery.highest) == (0, 1)


@pytest.mark.parametrize('score_thr', [0.1, 0.9])
def test_of_many_detections_those_that_count_and_the_best_are_embedded(score_thr):
    scores = np.linspace(0.001, 0.999, 4 * DETECTIONS).tolist()
    images = [([], [(0, [i, i, 9, 9], score) for i, score in enumerate(scores)])]
    gallery, _ = gallery_of(images, score_thr)
    shown = [shape.score for _, shape in shapes_of(gallery)]
    assert len(shown) == max(DETECTIONS, sum(score >= score_thr for score in scores))
    assert gallery.lowest <= score_thr
    assert sorted(shown)[0] <= min(s for s in scores if s >= gallery.lowest)
    assert all(score in shown for score in scores if score >= gallery.lowest)
    assert [s.hidden for _, s in shapes_of(gallery)] == [score < score_thr for score in shown]


def test_the_slider_reaches_the_highest_score():
    images = [([], [(0, [1, 1, 9, 9], 7.5)])]
    assert gallery_of(images)[0].highest == 7.5
