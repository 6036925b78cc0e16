"""Measure the time of COCO's evaluation by pycocotools and by faster-coco-eval.

The results are the annotations themselves, moved at random, 100 per image as detectors have them.
Each annotation file is repeated, as further images.
"""

import time

import numpy as np
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.datasets.coco_evaluation import FasterCOCOeval
from epsanet_mmdet.evaluation.data import load_ground_truth, silenced
from epsanet_mmdet.utils.command_line import run_command

DETECTIONS = 100


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('annotations', help='COCO annotations with masks')
    parser.add_argument(
        '--copies', type=int, default=10, help='copies of the images (default: %(default)s)'
    )
    return parser.parse_args()


def repeated(path: str, copies: int) -> COCO:
    """Return annotations whose images are repeated with further ids."""
    gt = load_ground_truth(path)
    images, annotations, step = [], [], max(gt.imgs) + 1
    for k in range(copies):
        images += [{**image, 'id': image['id'] + k * step} for image in gt.imgs.values()]
        for entry in gt.anns.values():
            numbers = dict(id=len(annotations) + 1, image_id=entry['image_id'] + k * step)
            annotations.append({**entry, **numbers})
    gt.dataset.update(images=images, annotations=annotations)
    silenced(gt.createIndex)
    return gt


def moved(gt: COCO) -> list:
    """Return results: boxes and masks of annotations moved by up to a fifth of their size."""
    rng = np.random.default_rng(0)
    results, categories = [], gt.getCatIds()
    for image_id in gt.imgs:
        entries = gt.imgToAnns[image_id]
        masks = [gt.annToMask(entry) for entry in entries]
        for _ in range(DETECTIONS if entries else 0):
            i = int(rng.integers(len(entries)))
            x, y, width, height = entries[i]['bbox']
            dx, dy = rng.uniform(-0.2, 0.2, 2) * (width, height)
            mask = np.roll(masks[i], (int(dy), int(dx)), (0, 1))
            category = entries[i]['category_id'] if rng.random() < 0.5 else rng.choice(categories)
            results.append(
                dict(
                    image_id=image_id,
                    category_id=int(category),
                    score=float(rng.random()),
                    bbox=[x + dx, y + dy, width, height],
                    segmentation=coco_masks.encode(np.asfortranarray(mask)),
                )
            )
    return results


def measured(kind: type, gt: COCO, results: list, iou_type: str) -> tuple:
    """Return the summary, the CPU seconds and the seconds of an evaluation."""
    other = 'bbox' if iou_type == 'segm' else 'segmentation'
    dt = silenced(gt.loadRes, [{k: v for k, v in r.items() if k != other} for r in results])
    evaluation = kind(gt, dt, iou_type)
    cpu, wall = time.process_time(), time.perf_counter()
    for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
        silenced(step)
    return evaluation.stats, time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    args = parse_args()
    results = moved(repeated(args.annotations, args.copies))
    for iou_type in ('bbox', 'segm'):
        found = []
        for kind in (COCOeval, FasterCOCOeval):
            gt = repeated(args.annotations, args.copies)  # evaluation changes its masks
            found.append(measured(kind, gt, results, iou_type))
            print(f'{iou_type}: {kind.__name__}: {found[-1][1]:.2f} CPU s, {found[-1][2]:.2f} s')
        difference = np.abs(np.subtract(found[0][0], found[1][0])).max()
        print(
            f'{iou_type}: {len(gt.imgs)} images, {len(results)} results, '
            f'{found[0][1] / found[1][1]:.1f} times as fast (CPU time); AP {found[0][0][0]:.4f}, '
            f'largest difference {difference:.1g}'
        )


if __name__ == '__main__':
    run_command(main)
