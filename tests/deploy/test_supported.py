"""What cannot be exported whole is named in one line, with what can be."""

import pytest
from exportable import small_detector
from mmcv.ops import RoIPool
from mmdet.models import StandardRoIHead
from mmdet.registry import MODELS
from mmengine.hub import get_config
from one_line import error_line

from epsanet_mmdet.deploy.supported import check_supported
from epsanet_mmdet.errors import ArgumentError


def refused(detector):
    line = error_line(ArgumentError, check_supported, detector)
    assert 'RetinaNet, Faster R-CNN and Mask R-CNN' in line and '--dense' in line
    return line


@pytest.mark.parametrize(
    'config, named',
    [
        ('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', 'CascadeRoIHead'),
        ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', 'FCOSHead'),
        ('detr/detr_r50_8xb2-150e_coco.py', 'DETR'),
        ('rtmdet/rtmdet_tiny_8xb32-300e_coco.py', 'DistancePointBBoxCoder'),
        ('yolox/yolox_s_8xb8-300e_coco.py', 'YOLOXHead'),
        ('point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py', 'PointRendRoIHead'),
    ],
)
def test_other_detectors(config, named):
    model = get_config(f'mmdet::{config}').model
    assert named in refused(MODELS.build(dict(model, _scope_='mmdet')))


def test_another_suppression():
    soft = {'test_cfg.rcnn.nms': dict(type='soft_nms', iou_threshold=0.5)}
    assert 'soft_nms' in refused(small_detector('faster-rcnn', **soft))


def test_masks_that_are_not_binary():
    detector = small_detector('mask-rcnn')
    detector.roi_head.test_cfg.mask_thr_binary = -1
    assert 'FCNMaskHead returns masks that are not binary' in refused(detector)


def test_another_pooling():
    detector = small_detector('faster-rcnn')
    detector.roi_head.bbox_roi_extractor.roi_layers[1] = RoIPool(7, 1 / 8)
    assert 'RoIPool' in refused(detector)


def test_a_subclass_with_its_own_selection():
    class Own(StandardRoIHead):
        def predict_bbox(self, *args, **kwargs):
            return []

    detector = small_detector('faster-rcnn')
    detector.roi_head.__class__ = Own
    assert 'Own has its own predict_bbox' in refused(detector)


def test_a_subclass_that_selects_like_mmdet_is_supported():
    class Own(StandardRoIHead):
        def loss(self, *args, **kwargs):
            return {}

    detector = small_detector('mask-rcnn')
    detector.roi_head.__class__ = Own
    check_supported(detector)
