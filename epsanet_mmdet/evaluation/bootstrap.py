"""How far AP depends on which images were tested: a bootstrap over the images.

A resample draws as many images as there are, with replacement. Detections are matched once, since
the matches of an image do not depend on the others; a resample only weighs the images anew.

AP of few images is too high on average, since it takes the best precision at each recall, and AP of
a resample is higher still. The basic bootstrap interval (Davison and Hinkley, Bootstrap Methods and
their Application, 1997, section 5.2) corrects for that; the percentile interval would double it.
"""

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .data import silenced

RESAMPLES = 1000
FEWEST = 100
WORK = 1e9  # weighted detections, summed over thresholds and resamples: half a minute
BLOCK = 2e6  # weighted detections at a time


@dataclass
class Interval:
    """A 95 % interval of AP.

    Args:
        low: Its lower end, 0 to 1.
        high: Its upper end.
        resamples: Number of resamples.
    """

    low: float
    high: float
    resamples: int


@dataclass
class ClassMatches:
    """The matches of a class, highest score first, at t IoU thresholds.

    Args:
        images: Index of the image of each of d detections.
        tp: Whether each is a TP, of shape (t, d).
        fp: Whether each is an FP.
        objects: Number of objects in each image.
    """

    images: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    objects: np.ndarray


def bootstrap_ap(
    gt: COCO, detections: Sequence[COCO], iou_type: str, resamples: int = RESAMPLES, seed: int = 0
) -> Optional[Interval]:
    """Return the interval of AP, or None for a single image or no object.

    Large test sets use fewer resamples, at least ``FEWEST``.

    Args:
        gt: Ground truth.
        detections: Detections of each training seed; the interval is that of their mean AP.
        iou_type: ``'bbox'`` or ``'segm'``.
        resamples: Number of resamples at most.
        seed: Seed of the resamples.
    """
    seeds = [match_classes(gt, dt, iou_type) for dt in detections]
    images = len(gt.imgs)
    if images < 2 or not any(matches.objects.any() for matches in seeds[0]):
        return None
    size = sum(matches.tp.size for classes in seeds for matches in classes)
    resamples = int(np.clip(WORK / max(size, 1), min(FEWEST, resamples), resamples))
    weights = np.random.default_rng(seed).multinomial(images, [1 / images] * images, resamples)
    weights = np.vstack([np.ones((1, images), int), weights])
    ap, *means = np.mean([weighted_ap(classes, weights) for classes in seeds], 0)
    low, high = (2 * ap - np.nanpercentile(means, (97.5, 2.5))).clip(0, 1).tolist()
    return Interval(low, high, resamples)


def match_classes(gt: COCO, dt: COCO, iou_type: str) -> List[ClassMatches]:
    """Match detections to objects of any size at COCO's IoU thresholds, 100 per image at most."""
    evaluation = COCOeval(gt, dt, iou_type)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ['all']
    evaluation.params.maxDets = [100]
    silenced(evaluation.evaluate)
    place = {image_id: i for i, image_id in enumerate(evaluation.params.imgIds)}
    per_class = np.array(evaluation.evalImgs, object).reshape(-1, len(place))
    return [_join([r for r in results if r], place) for results in per_class]


def _join(results: List[dict], place: dict) -> ClassMatches:
    objects = np.zeros(len(place), int)
    columns: List[Tuple[np.ndarray, ...]] = []
    for result in results:
        image = place[result['image_id']]
        objects[image] = np.sum(~np.asarray(result['gtIgnore'], bool))
        matched, ignored = result['dtMatches'] > 0, result['dtIgnore'].astype(bool)
        scores = np.array(result['dtScores'])
        where = np.full(len(scores), image)
        columns.append((scores, where, matched & ~ignored, ~matched & ~ignored))
    if not columns:
        nothing = np.zeros((10, 0), bool)
        return ClassMatches(np.zeros(0, int), nothing, nothing, objects)
    scores, images, tp, fp = (np.concatenate(parts, -1) for parts in zip(*columns))
    order = np.argsort(-scores, kind='mergesort')  # as COCO's accumulation
    return ClassMatches(images[order], tp[:, order], fp[:, order], objects)


def weighted_ap(classes: Sequence[ClassMatches], weights: np.ndarray) -> np.ndarray:
    """Return COCO's AP of each resample, NaN without objects.

    Args:
        classes: See :func:`match_classes`.
        weights: How often each resample contains each image, of shape (resamples, images).
    """
    block = max(1, int(BLOCK / max(matches.tp.size + 1 for matches in classes)))
    aps = []
    for start in range(0, len(weights), block):
        part = weights[start : start + block]
        per_class = np.array([_class_ap(matches, part) for matches in classes])
        occurring = ~np.isnan(per_class)
        with np.errstate(invalid='ignore'):
            aps.append(np.nansum(per_class, 0) / occurring.sum(0))
    return np.concatenate(aps)


def _class_ap(matches: ClassMatches, weights: np.ndarray) -> np.ndarray:
    """Return the AP of a class in each resample.

    An image that is drawn twice counts its detections twice: precision and recall after the second
    are those after both, as precision only rises over equal TP and falls over equal FP.
    """
    objects = weights @ matches.objects
    with np.errstate(invalid='ignore', divide='ignore'):
        if not len(matches.images):
            return np.where(objects > 0, 0.0, np.nan)
        counts = weights[:, None, matches.images]
        tp, fp = (np.cumsum(counts * hit, -1) for hit in (matches.tp, matches.fp))
        recall, precision = tp / objects[:, None, None], tp / np.maximum(tp + fp, 1)
    precision = np.maximum.accumulate(precision[..., ::-1], -1)[..., ::-1]
    passed = np.searchsorted(np.linspace(0, 1, 101), recall, side='right')
    steps = np.diff(passed, axis=-1, prepend=0)
    return np.where(objects > 0, (steps * precision).sum(-1).mean(-1) / 101, np.nan)
