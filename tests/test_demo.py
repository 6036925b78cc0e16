"""The demo plots the losses and the AP that its training logged."""

import cv2
from coco_case import write_log

from epsanet_mmdet.demo import draw_curves


def test_curves_are_drawn_from_the_log_of_the_training(tmp_path):
    scores = {
        f'coco/{iou_type}_{key}': 0.5 for iou_type in ('bbox', 'segm') for key in ('mAP', 'mAP_50')
    }
    write_log(tmp_path, 'run', [dict(loss=2.0, epoch=1, step=10), dict(scores, step=1)])
    draw_curves(tmp_path, tmp_path / 'curves.png')
    assert cv2.imread(str(tmp_path / 'curves.png')).shape == (400, 1000, 3)
