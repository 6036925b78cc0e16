"""The main job on an embedded default: generate data, train, test, and draw what came out."""

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
from .utils.drawing import draw_objects
from .utils.images import load_image

CONFIG = 'mask-rcnn_epsanet50-s-slim_fpn_shapes'
FONT = cv2.FONT_HERSHEY_SIMPLEX
SCALE = 2  # the images are small


def run_demo(work_dir: str = 'work_dirs/demo', seed: int = 0) -> Dict[str, float]:
    """Train and test Mask R-CNN with a slim EPSANet on generated shapes.

    Leaves in ``work_dir`` the checkpoints and logs, ``predictions.png`` (predictions beside
    ground truth) and ``curves.png`` (loss and AP).

    Args:
        work_dir: Folder for everything, the data set included.
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
    coco = COCO(ann_file)
    infos = coco.loadImgs(sorted(coco.getImgIds())[:count])
    folder = Path(ann_file).parent.parent / Path(ann_file).stem
    files = [str(folder / info['file_name']) for info in infos]
    predictions = infer(files, config, checkpoint, score_thr=0.5)
    truth_row, predicted_row = [], []
    for file, info, found in zip(files, infos, predictions):
        image = load_image(file)
        annotations = coco.loadAnns(coco.getAnnIds(info['id']))
        boxes = np.array([annotation['bbox'] for annotation in annotations]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = [annotation['category_id'] - 1 for annotation in annotations]
        masks = [coco.annToMask(annotation) for annotation in annotations]
        names = [CLASSES[label] for label in labels]
        truth_row.append(_enlarged(image, boxes, labels, names, masks))
        texts = [f'{CLASSES[label]} {s:.2f}' for label, s in zip(found.labels, found.scores)]
        predicted_row.append(_enlarged(image, found.boxes, found.labels, texts, found.masks))
    truth = _titled(np.hstack(truth_row), 'ground truth')
    cv2.imwrite(str(out_file), np.vstack([truth, _titled(np.hstack(predicted_row), 'predictions')]))


def draw_curves(work_dir: Path, out_file: Path) -> None:
    """Plot the training loss and the validation AP that a training logged."""
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
    canvas = cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    masks = [cv2.resize(np.asarray(mask, np.uint8), canvas.shape[1::-1]) for mask in masks]
    canvas = draw_objects(canvas, SCALE * boxes, labels, texts, masks)
    return cv2.copyMakeBorder(canvas, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def _titled(row: np.ndarray, title: str) -> np.ndarray:
    banner = np.full((28, row.shape[1], 3), 255, np.uint8)
    cv2.putText(banner, title, (8, 20), FONT, 0.6, (40, 40, 40), 1, cv2.LINE_AA)
    return np.vstack([banner, row])
