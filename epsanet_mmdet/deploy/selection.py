"""What mmdet's heads do after their convolutions, for one image and any number of boxes.

mmdet branches on the number of boxes in Python, which an exported graph cannot. The functions here
compute the same without branches.
"""

from typing import NamedTuple, Tuple

import torch
from torch import Tensor, nn

from .operators import suppress
from .supported import unsupported


class Geometry(NamedTuple):
    """Sizes of an image: of the network's input without padding, and of the original.

    ``size`` is (width, height, width, height) of the input, ``scale`` the factors from its pixels
    to those of the original.
    """

    size: Tensor
    scale: Tensor


def final_options(detector: nn.Module):
    """Return mmdet's options for the selection of the final boxes."""
    head = detector.roi_head if hasattr(detector, 'roi_head') else detector.bbox_head
    return head.test_cfg


def best(scores: Tensor, limit: int) -> Tensor:
    """Return the indices of the highest scores, best first: at most ``limit``, or all if it is -1.

    Shape:
        (N,) -> (K,).
    """
    count = torch._shape_as_tensor(scores)[0]
    if limit > 0:
        count = torch.minimum(count, torch.tensor(limit))
    return scores.topk(count).indices


def separate_nms(
    boxes: Tensor, scores: Tensor, ids: Tensor, iou_threshold: float, limit: int
) -> Tensor:
    """Return the indices of the boxes that no better box of the same id overlaps, best first.

    Like mmcv's ``batched_nms``, this moves the boxes of each id to a place of their own.

    Shape:
        Boxes (N, 4), scores (N,) and ids (N,) -> (K,).
    """
    extent = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).max() + 1
    return suppress(boxes + (ids * extent)[:, None], scores, iou_threshold, limit)


def decode(coder: nn.Module, anchors: Tensor, deltas: Tensor, geometry: Geometry) -> Tensor:
    """Return the boxes that a head predicts, inside the image.

    Shape:
        Anchors (N, 4) and deltas (N, 4 K) -> (N, K, 4).
    """
    boxes = coder.decode(anchors, deltas).reshape(-1, int(deltas.shape[1]) // 4, 4)
    if coder.clip_border:
        boxes = torch.minimum(boxes.clamp(min=0), geometry.size)
    return boxes


def larger_than(boxes: Tensor, side: float) -> Tensor:
    """Return the indices of the boxes whose sides are longer; of all if ``side`` is negative."""
    return ((boxes[:, 2:] - boxes[:, :2]).amin(dim=1) > side).nonzero()[:, 0]


def levels(head: nn.Module, maps: Tuple[Tensor, ...]):
    """Yield the scores (N, classes), deltas (N, 4) and anchors (N, 4) of a dense head's levels.

    Raises:
        ArgumentError: If the head has other outputs besides scores and deltas.
    """
    scores, deltas, *others = head(maps)
    if others:
        raise unsupported(head, 'weights its scores')
    sizes = [score.shape[-2:] for score in scores]
    anchors = head.prior_generator.grid_priors(sizes, scores[0].dtype, scores[0].device)
    for score, delta, anchor in zip(scores, deltas, anchors, strict=True):
        score = score[0].permute(1, 2, 0).reshape(-1, head.cls_out_channels)
        score = score.sigmoid() if head.use_sigmoid_cls else score.softmax(-1)[:, :-1]
        yield score, delta[0].permute(1, 2, 0).reshape(-1, 4), anchor


def propose(head: nn.Module, maps: Tuple[Tensor, ...], geometry: Geometry) -> Tensor:
    """Return the proposals of an RPN head.

    Shape:
        Maps (1, C, H, W) of each level -> (N, 4).
    """
    cfg, boxes, scores, ids = head.test_cfg, [], [], []
    for i, (score, deltas, anchors) in enumerate(levels(head, maps)):
        score = score[:, 0]
        top = best(score, cfg.get('nms_pre', -1))
        boxes.append(decode(head.bbox_coder, anchors[top], deltas[top], geometry)[:, 0])
        scores.append(score[top])
        ids.append(torch.full_like(score[top], i))
    boxes, scores, ids = torch.cat(boxes), torch.cat(scores), torch.cat(ids)
    large = larger_than(boxes, cfg.get('min_bbox_size', -1))
    boxes, scores, ids = boxes[large], scores[large], ids[large]
    return boxes[separate_nms(boxes, scores, ids, cfg.nms.iou_threshold, cfg.max_per_img)]


def detect_densely(
    head: nn.Module, maps: Tuple[Tensor, ...], geometry: Geometry
) -> Tuple[Tensor, Tensor, Tensor]:
    """Return the boxes, scores and labels that a one-stage head detects, in original pixels.

    Shape:
        Maps (1, C, H, W) of each level -> (N, 4), (N,) and (N,).
    """
    cfg, boxes, scores, labels = head.test_cfg, [], [], []
    for score, deltas, anchors in levels(head, maps):
        positions, classes = (score > cfg.get('score_thr', 0)).nonzero().unbind(1)
        score = score[positions, classes]
        top = best(score, cfg.get('nms_pre', -1))
        positions = positions[top]
        boxes.append(decode(head.bbox_coder, anchors[positions], deltas[positions], geometry)[:, 0])
        scores.append(score[top])
        labels.append(classes[top])
    boxes, scores, labels = torch.cat(boxes) * geometry.scale, torch.cat(scores), torch.cat(labels)
    large = larger_than(boxes, cfg.get('min_bbox_size', -1))
    return _without_overlaps(boxes[large], scores[large], labels[large], cfg)


def classify(
    head: nn.Module, cfg, proposals: Tensor, logits: Tensor, deltas: Tensor, geometry: Geometry
) -> Tuple[Tensor, Tensor, Tensor]:
    """Return the boxes, scores and labels that the box head of a two-stage detector detects.

    Args:
        head: Box head.
        cfg: The test options of the second stage.
        proposals: (N, 4).
        logits: (N, classes + 1).
        deltas: (N, 4 classes), or (N, 4) if the head's boxes are the same for all classes.
        geometry: The boxes are multiplied by its scale.

    Returns:
        (K, 4), (K,) and (K,).
    """
    boxes = decode(head.bbox_coder, proposals, deltas, geometry) * geometry.scale
    scores = logits.softmax(-1)[:, :-1]
    rows, labels = (scores > cfg.score_thr).nonzero().unbind(1)
    boxes = boxes[rows, 0 if head.reg_class_agnostic else labels]
    return _without_overlaps(boxes, scores[rows, labels], labels, cfg)


def _without_overlaps(
    boxes: Tensor, scores: Tensor, labels: Tensor, cfg
) -> Tuple[Tensor, Tensor, Tensor]:
    kept = separate_nms(boxes, scores, labels, cfg.nms.iou_threshold, cfg.max_per_img)
    return boxes[kept], scores[kept], labels[kept]
