"""Which detectors can be exported whole."""

from mmdet.models import (
    AnchorHead,
    BBoxHead,
    DetDataPreprocessor,
    FCNMaskHead,
    RPNHead,
    SingleRoIExtractor,
    SingleStageDetector,
    StandardRoIHead,
    TwoStageDetector,
)
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import nn

from ..errors import ArgumentError

SUPPORTED = 'RetinaNet, Faster R-CNN and Mask R-CNN'


def check_supported(detector: nn.Module) -> None:
    """Raise ArgumentError, which names the part, if a detector cannot be exported whole.

    Subclasses of mmdet's modules are accepted if they select boxes with mmdet's own code.
    """
    _require(detector.data_preprocessor, DetDataPreprocessor, 'forward')
    if isinstance(detector, TwoStageDetector):
        _require(detector, TwoStageDetector, 'predict')
        _check_dense_head(detector.rpn_head, RPNHead, RPNHead)
        _check_roi_head(detector.roi_head)
    else:
        _require(detector, SingleStageDetector, 'predict')
        _check_dense_head(detector.bbox_head, AnchorHead, BaseDenseHead)


def _check_dense_head(head: nn.Module, kind: type, origin: type) -> None:
    _require(head, kind, 'predict', 'predict_by_feat')
    _require(head, origin, '_predict_by_feat_single', '_bbox_post_process')
    _check_boxes(head)
    _check_nms(head.test_cfg, head)


def _check_roi_head(head: nn.Module) -> None:
    _require(head, StandardRoIHead, 'predict', 'predict_bbox', '_bbox_forward')
    _require(head.bbox_head, BBoxHead, 'predict_by_feat', '_predict_by_feat_single')
    _require(head.bbox_roi_extractor, SingleRoIExtractor, 'forward')
    _check_boxes(head.bbox_head)
    _check_nms(head.test_cfg, head)
    extractors = [head.bbox_roi_extractor]
    if head.with_mask:
        _require(head, StandardRoIHead, 'predict_mask', '_mask_forward')
        _require(head.mask_head, FCNMaskHead, 'predict_by_feat', '_predict_by_feat_single')
        _require(head.mask_roi_extractor, SingleRoIExtractor, 'forward')
        if head.test_cfg.mask_thr_binary < 0:
            raise unsupported(head.mask_head, 'returns masks that are not binary')
        extractors.append(head.mask_roi_extractor)
    for layer in (layer for extractor in extractors for layer in extractor.roi_layers):
        if getattr(layer, 'pool_mode', None) != 'avg':
            raise unsupported(layer, 'pools otherwise than by RoIAlign with averages')


def _check_boxes(head: nn.Module) -> None:
    _require(head.bbox_coder, DeltaXYWHBBoxCoder, 'decode')
    if head.bbox_coder.use_box_type or getattr(head.loss_cls, 'custom_cls_channels', False):
        raise unsupported(head, 'has another form of boxes or scores')


def _check_nms(cfg, owner: nn.Module) -> None:
    options = {name: value for name, value in cfg.nms.items() if name != 'split_thr'}
    if options.pop('type', 'nms') != 'nms' or set(options) != {'iou_threshold'}:
        raise unsupported(owner, f'suppresses boxes with {dict(cfg.nms)}')


def _require(module: nn.Module, kind: type, *methods: str) -> None:
    if not isinstance(module, kind):
        raise unsupported(module, f'is no {kind.__name__}')
    for method in methods:
        if getattr(type(module), method) is not getattr(kind, method):
            raise unsupported(module, f'has its own {method}')


def unsupported(module: nn.Module, reason: str) -> ArgumentError:
    """Return the error about a part of a detector that cannot be exported."""
    return ArgumentError(
        f'{type(module).__name__} {reason}; only {SUPPORTED} can be exported whole, others with '
        '--dense or --backbone'
    )
