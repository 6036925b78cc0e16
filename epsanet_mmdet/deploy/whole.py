"""A detector of mmdet as one graph, from an image to its detections."""

from typing import NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from mmdet.models import SingleRoIExtractor, TwoStageDetector
from mmdet.structures.bbox import bbox2roi
from torch import Tensor, nn

from .operators import align_rois
from .pasting import paste_masks
from .selection import Geometry, classify, detect_densely, propose
from .supported import check_supported

INPUTS = ('image', 'original_size')


class Detections(NamedTuple):
    """Boxes (N, 4) in pixels of the original image, scores (N,), labels (N,), masks (N, H, W)."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Optional[Tensor] = None


class WholeDetector(nn.Module):
    """A detector as one graph without branches, for :func:`export_detector`.

    It computes what ``detector.predict`` computes for one image, and contains the work of mmdet's
    data preprocessor: the order of the channels, normalisation and padding.

    Args:
        detector: RetinaNet, Faster R-CNN or Mask R-CNN of mmdet, in evaluation mode.

    Shape:
        Image (H, W, 3) of BGR bytes and original size (2,), its height and width -> outputs named
        by :attr:`output_names`, see :class:`Detections`.

    Raises:
        ArgumentError: If a part of the detector has no exportable form.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        check_supported(detector)
        self.detector = detector
        self.two_stage = isinstance(detector, TwoStageDetector)
        self.with_mask = self.two_stage and detector.with_mask
        self.output_names = Detections._fields[: 4 if self.with_mask else 3]

    def forward(self, image: Tensor, original_size: Tensor) -> Tuple[Tensor, ...]:
        size = torch._shape_as_tensor(image)[:2].flip(0).repeat(2).float()
        geometry = Geometry(size, original_size.flip(0).repeat(2).float() / size)
        maps = self.detector.extract_feat(preprocess(self.detector.data_preprocessor, image))
        if not self.two_stage:
            return detect_densely(self.detector.bbox_head, maps, geometry)
        proposals = propose(self.detector.rpn_head, maps, geometry)
        return self._second_stage(maps, proposals, geometry, original_size)

    def _second_stage(
        self, maps: Tuple[Tensor, ...], proposals: Tensor, geometry: Geometry, original_size: Tensor
    ) -> Tuple[Tensor, ...]:
        head = self.detector.roi_head
        logits, deltas = head.bbox_head(self._pooled(head.bbox_roi_extractor, maps, proposals))
        # mmdet scales the boxes after it has pooled the features of their masks.
        scale = torch.ones_like(geometry.scale) if self.with_mask else geometry.scale
        boxes, scores, labels = classify(
            head.bbox_head, head.test_cfg, proposals, logits, deltas, geometry._replace(scale=scale)
        )
        if not self.with_mask:
            return boxes, scores, labels
        masks = head.mask_head(self._pooled(head.mask_roi_extractor, maps, boxes))
        channel = torch.zeros_like(labels) if head.mask_head.class_agnostic else labels
        masks = masks[torch.arange(labels.shape[0]), channel].sigmoid()
        boxes = boxes * geometry.scale
        masks = paste_masks(masks, boxes, *original_size)
        return boxes, scores, labels, masks >= head.test_cfg.mask_thr_binary

    def _pooled(self, extractor: nn.Module, maps: Tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        head, features = self.detector.roi_head, pool_rois(extractor, maps, boxes)
        return head.shared_head(features) if head.with_shared_head else features


def preprocess(preprocessor: nn.Module, image: Tensor) -> Tensor:
    """Return what mmdet's data preprocessor makes of an image.

    Shape:
        (H, W, 3) -> (1, 3, H', W').
    """
    image = image.permute(2, 0, 1).float()
    if preprocessor._channel_conversion:
        image = image.flip(0)
    if preprocessor._enable_normalize:
        image = (image - preprocessor.mean) / preprocessor.std
    missing = -torch._shape_as_tensor(image)[1:] % preprocessor.pad_size_divisor
    return F.pad(image[None], (0, missing[1], 0, missing[0]), value=preprocessor.pad_value)


def pool_rois(extractor: SingleRoIExtractor, maps: Tuple[Tensor, ...], boxes: Tensor) -> Tensor:
    """Return the features of each box from the level that fits its size.

    Shape:
        Maps (1, C, H, W) of each level and boxes (N, 4) -> (N, C, height, width).
    """
    rois = bbox2roi([boxes])
    levels = extractor.map_roi_levels(rois, extractor.num_inputs)
    members = [(levels == i).nonzero()[:, 0] for i in range(extractor.num_inputs)]
    parts = zip(extractor.roi_layers, maps, members)
    features = [align_rois(layer, map_, rois[index]) for layer, map_, index in parts]
    return torch.cat(features)[torch.cat(members).argsort()]
