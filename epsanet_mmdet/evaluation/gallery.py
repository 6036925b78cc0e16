"""Images with the ground truth and the detections of one model or several, the worst first."""

import math
import os.path as osp
from dataclasses import dataclass
from typing import Dict, List, Tuple

from pycocotools.coco import COCO

from ..utils.files import is_inside
from ..utils.svg import Picture, Shape, load_picture, outline
from .matching import Match, at_score

DETECTIONS = 100  # of an image, besides those above the threshold
LONGEST_SIDE = 1280  # pixels of an image in full size

Models = Dict[str, Tuple[COCO, Dict[int, List[Match]]]]


@dataclass
class Gallery:
    """Images of a page, with a slider that chooses the score from which detections count.

    Args:
        pictures: The images, with a panel for each model.
        score_thr: Score at first.
        lowest: Lowest score of the slider: detections below it may be left out.
        highest: Highest score of the slider.
    """

    pictures: List[Picture]
    score_thr: float
    lowest: float
    highest: float


def worst_pictures(
    gt: COCO, models: Models, image_dir: str, limit: int, score_thr: float
) -> Gallery:
    """Return the images with the most FP and FN of all models together.

    Args:
        gt: Ground truth.
        models: Detections and their matches by the name of the model; masks are drawn if the
            detections have some. See :func:`epsanet_mmdet.evaluation.matching.match`.
        image_dir: Folder of the images; images outside of it are not shown.
        limit: Maximum number of images.
        score_thr: Score from which detections count.
    """

    def errors(image_id: int) -> int:
        pairs = [
            m for _, matches in models.values() for m in at_score(matches[image_id], score_thr)
        ]
        return sum(m.outcome in ('FP', 'FN') for m in pairs)

    gallery = Gallery([], score_thr, min(0, score_thr), max(1, score_thr))
    for image_id in sorted(gt.imgs, key=lambda i: (-errors(i), i))[:limit]:
        info = gt.imgs[image_id]
        name, size = info['file_name'], (info['width'], info['height'])
        path = osp.normpath(osp.join(image_dir, name))
        inside = is_inside(path, image_dir)
        picture = load_picture(path, name, size, LONGEST_SIDE) if inside else Picture(name, *size)
        for model, (_, matches) in models.items():
            caption = model if len(models) > 1 else name
            picture.panels.append((caption, _shapes(gt, matches[image_id], gallery)))
        gallery.pictures.append(picture)
    return gallery


def _shapes(gt: COCO, matches: List[Match], gallery: Gallery) -> List[Shape]:
    found = sorted((m for m in matches if m.dt), key=lambda m: -m.dt['score'])
    shown = found[: max(DETECTIONS, sum(m.dt['score'] >= gallery.score_thr for m in found))]
    if len(shown) < len(found):
        above = math.floor(100 * found[len(shown)].dt['score'] + 1) / 100
        gallery.lowest = max(gallery.lowest, min(gallery.score_thr, above))
    if found:
        gallery.highest = max(gallery.highest, found[0].dt['score'])
    objects = [_object_shape(gt, m, gallery.score_thr) for m in matches if m.gt]
    return objects + [_detection_shape(gt, m, gallery.score_thr) for m in reversed(shown)]


def _object_shape(gt: COCO, pair: Match, score_thr: float) -> Shape:
    score = pair.dt['score'] if pair.dt else None
    missed = ' FN' if score is None or score < score_thr else ''
    outcome = 'ignored' if pair.ignored else 'GT' + missed
    path = outline(pair.gt.get('segmentation'))
    return Shape(_name(gt, pair.gt), _box(pair.gt), path, outcome, score=score)


def _detection_shape(gt: COCO, pair: Match, score_thr: float) -> Shape:
    score, segmentation = pair.dt['score'], pair.dt.get('segmentation')
    if isinstance(segmentation, list):  # a rectangle that pycocotools makes of a detected box
        segmentation = None
    label, path = f'{_name(gt, pair.dt)} {score:.2f}', outline(segmentation)
    return Shape(label, _box(pair.dt), path, pair.outcome, score=score, hidden=score < score_thr)


def _name(gt: COCO, annotation: dict) -> str:
    return gt.cats[annotation['category_id']]['name']


def _box(annotation: dict) -> List[float]:
    return [round(float(value), 1) for value in annotation['bbox']]
