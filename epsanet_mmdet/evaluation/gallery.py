"""Images with the detections of one model or several beside the ground truth, the worst first."""

import os.path as osp
from collections import Counter
from typing import Dict, List, Tuple

from pycocotools.coco import COCO

from ..utils.files import is_inside
from ..utils.svg import Picture, Shape, load_picture, outline
from .matching import Match

OUTCOMES = ('TP', 'FP', 'FN')


def worst_pictures(
    gt: COCO, models: Dict[str, Tuple[COCO, Dict[int, List[Match]]]], image_dir: str, limit: int
) -> List[Picture]:
    """Return the images with the most FP and FN of all models together.

    Args:
        gt: Ground truth.
        models: Detections and their matches by the name of the model; masks are drawn if the
            detections have some. See :func:`epsanet_mmdet.evaluation.matching.match`.
        image_dir: Folder of the images; images outside of it are not shown.
        limit: Maximum number of images.
    """

    def errors(image_id: int) -> int:
        outcomes = [m.outcome for _, matches in models.values() for m in matches[image_id]]
        return outcomes.count('FP') + outcomes.count('FN')

    pictures = []
    for image_id in sorted(gt.imgs, key=lambda i: (-errors(i), i))[:limit]:
        info = gt.imgs[image_id]
        name, size = info['file_name'], (info['width'], info['height'])
        path = osp.normpath(osp.join(image_dir, name))
        inside = is_inside(path, image_dir)
        picture = load_picture(path, name, size) if inside else Picture(name, *size)
        objects = gt.imgToAnns[image_id]
        shapes = [_shape(gt, a, 'ignored' if a['iscrowd'] else 'GT') for a in objects]
        picture.panels.append((f'ground truth: {len(objects)} objects', shapes))
        for model, (_, matches) in models.items():
            counts = Counter(m.outcome for m in matches[image_id])
            counted = ', '.join(f'{counts[outcome]} {outcome}' for outcome in OUTCOMES)
            shown = [m for m in matches[image_id] if m.dt or m.outcome == 'FN']
            shapes = [_shape(gt, m.dt or m.gt, m.outcome) for m in shown]
            picture.panels.append((f'{model}: {counted}', shapes))
        pictures.append(picture)
    return pictures


def _shape(gt: COCO, annotation: dict, outcome: str) -> Shape:
    label = gt.cats[annotation['category_id']]['name']
    segmentation = annotation.get('segmentation')
    if 'score' in annotation:
        label += f' {annotation["score"]:.2f}'
        if isinstance(segmentation, list):  # a rectangle that pycocotools makes of a detected box
            segmentation = None
    box = [round(float(value), 1) for value in annotation['bbox']]
    return Shape(label, box, outline(segmentation), outcome)
