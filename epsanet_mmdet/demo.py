"""The demo: generate a data set, train and test a detector on it, and draw the results."""

from pathlib import Path
from typing import Dict, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure
from pycocotools.coco import COCO

from .config.load import load_config
from .datasets.shapes import CLASSES, write_shapes
from .engine.runner import BriefRunner
from .evaluation.training_log import read_training_log
from .inference import infer
from .utils.drawing import add_title, draw_objects
from .utils.images import load_image

CONFIG = 'mask-rcnn_epsanet50-s-slim_fpn_shapes'
SCALE = 2  # the images are small


def run_demo(work_dir: str = 'work_dirs/demo', seed: int = 0) -> Dict[str, float]:
    """Train and test Mask R-CNN with a slim EPSANet on generated shapes.

    Besides checkpoints and logs, ``work_dir`` then contains ``predictions.png`` (ground truth
    above predictions) and ``curves.png`` (loss and AP).

    Args:
        work_dir: Folder for all output, including the data set.
        seed: Seed of the data set and of the training.

    Returns:
        mmdet's COCO metrics on the held-out images, such as ``coco/bbox_mAP_50``.
    """
    work_dir = Path(work_dir)
    ann_files = write_shapes(str(work_dir / 'data'), seed=seed)
    config = load_config(
        CONFIG,
        dict(data_root=str(work_dir / 'data'), work_dir=str(work_dir), randomness=dict(seed=seed)),
    )
    runner = BriefRunner.from_cfg(config)
    runner.train()
    metrics = runner.test()
    checkpoint = (work_dir / 'last_checkpoint').read_text()
    draw_predictions(
        str(work_dir / f'{CONFIG}.py'), checkpoint, ann_files['val'], work_dir / 'predictions.png'
    )
    draw_curves(work_dir, work_dir / 'curves.png')
    return metrics


def draw_predictions(
    config: str, checkpoint: str, ann_file: str, out_file: Path, count: int = 6
) -> None:
    """Draw images of the generated data set: ground truth above, predictions below."""
    gt = COCO(ann_file)
    infos = gt.loadImgs(sorted(gt.getImgIds())[:count])
    folder = Path(ann_file).parent.parent / Path(ann_file).stem
    files = [str(folder / info['file_name']) for info in infos]
    rows = {'ground truth': [], 'predictions': []}
    for info, file, predicted in zip(infos, files, infer(files, config, checkpoint, score_thr=0.5)):
        image, annotations = load_image(file), gt.imgToAnns[info['id']]
        boxes = np.array([annotation['bbox'] for annotation in annotations]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = [annotation['category_id'] - 1 for annotation in annotations]
        masks = [gt.annToMask(annotation) for annotation in annotations]
        texts = [CLASSES[label] for label in labels]
        rows['ground truth'].append(_enlarged(image, boxes, labels, texts, masks))
        texts = [
            f'{name} {score:.2f}' for name, score in zip(predicted.class_names, predicted.scores)
        ]
        rows['predictions'].append(
            _enlarged(image, predicted.boxes, predicted.labels, texts, predicted.masks)
        )
    cv2.imwrite(
        str(out_file), np.vstack([add_title(np.hstack(r), name) for name, r in rows.items()])
    )


def draw_curves(work_dir: Path, out_file: Path) -> None:
    """Plot the logged loss and validation AP of a training."""
    log = read_training_log(work_dir)
    figure = Figure((10, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    loss = log.losses['loss']
    left.plot(list(loss), list(loss.values()))
    left.set(title='training loss', xlabel='iteration', ylim=(0, None))
    for iou_type, name in (('bbox', 'box'), ('segm', 'mask')):
        for key, label, style in (('mAP_50', 'AP50', '-o'), ('mAP', 'AP', '--o')):
            curve = log.metrics[f'coco/{iou_type}_{key}']
            right.plot(list(curve), list(curve.values()), style, label=f'{name} {label}')
    right.set(title='held-out images', xlabel=log.metrics_unit, ylim=(0, 1))
    right.legend()
    figure.savefig(out_file, dpi=100)


def _enlarged(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: Sequence[int],
    texts: Sequence[str],
    masks: Sequence[np.ndarray],
) -> np.ndarray:
    canvas = draw_objects(image, boxes, labels, texts, masks, SCALE)
    return cv2.copyMakeBorder(canvas, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))
