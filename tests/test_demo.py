"""The demo draws its predictions below the ground truth, and plots the logged loss and AP."""

import cv2
import numpy as np
from coco_case import write_log
from pycocotools.coco import COCO

from epsanet_mmdet.datasets.shapes import write_shapes
from epsanet_mmdet.demo import draw_curves, draw_predictions
from epsanet_mmdet.inference import Detections


def test_predictions_equal_to_the_ground_truth_are_drawn_like_it(tmp_path, monkeypatch):
    ann_file = write_shapes(str(tmp_path / 'data'), train=1, val=2)['val']
    gt = COCO(ann_file)

    def infer(files, *_, **__):
        for info in gt.loadImgs(sorted(gt.getImgIds())):
            objects = gt.imgToAnns[info['id']]
            boxes = np.array([a['bbox'] for a in objects], np.float32)
            boxes[:, 2:] += boxes[:, :2]
            labels = np.array([a['category_id'] - 1 for a in objects])
            names = [''] * len(objects)
            rles = [gt.annToRLE(a) for a in objects]
            size = info['height'], info['width']
            yield Detections('', size, boxes, np.ones(len(objects)), labels, names, rles)

    monkeypatch.setattr('epsanet_mmdet.demo.infer', infer)
    draw_predictions('', '', ann_file, tmp_path / 'predictions.png', count=2)
    drawn = cv2.imread(str(tmp_path / 'predictions.png')).astype(int)
    above, below = np.split(drawn, 2)
    assert np.abs(above - below).mean() < 10 and above.std() > 10  # but for the labels


def test_curves_are_drawn_from_the_log_of_the_training(tmp_path):
    scores = {f'coco/{t}_{key}': 0.5 for t in ('bbox', 'segm') for key in ('mAP', 'mAP_50')}
    write_log(tmp_path, 'run', [dict(loss=2.0, epoch=1, step=10), dict(scores, step=1)])
    draw_curves(tmp_path, tmp_path / 'curves.png')
    assert cv2.imread(str(tmp_path / 'curves.png')).shape == (400, 1000, 3)
