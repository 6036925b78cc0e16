"""mmcv's RoIAlign and non-maximum suppression with standard ONNX operators.

In torch they compute what mmcv computes. mmcv 2.1 has no ONNX form of its non-maximum suppression,
and its form of RoIAlign predates opset 16, from which the operator itself shifts aligned boxes.
"""

import torch
from mmcv.ops import RoIAlign
from mmcv.ops.nms import NMSop
from mmcv.ops.roi_align import RoIAlignFunction
from torch import Tensor

MIN_OPSET = 16  # the first whose RoiAlign has half-pixel coordinates, mmcv's aligned=True


class _RoIAlign(RoIAlignFunction):
    @staticmethod
    def symbolic(g, maps, rois, output_size, spatial_scale, sampling_ratio, pool_mode, aligned):
        batch = g.op('Cast', _columns(g, rois, 0), to_i=torch.onnx.TensorProtoDataType.INT64)
        return g.op(
            'RoiAlign',
            maps,
            _columns(g, rois, [1, 2, 3, 4]),
            batch,
            output_height_i=output_size[0],
            output_width_i=output_size[1],
            spatial_scale_f=spatial_scale,
            sampling_ratio_i=sampling_ratio,
            mode_s=pool_mode,
            coordinate_transformation_mode_s='half_pixel' if aligned else 'output_half_pixel',
        )


class _NMS(NMSop):
    @staticmethod
    def symbolic(g, boxes, scores, iou_threshold, offset, score_threshold, max_num):
        limit = max_num if max_num > 0 else torch.iinfo(torch.int32).max
        selected = g.op(
            'NonMaxSuppression',
            g.op('Unsqueeze', boxes, _constant(g, [0])),
            g.op('Unsqueeze', scores, _constant(g, [0, 1])),
            _constant(g, [limit]),
            _constant(g, [iou_threshold]),
        )
        return _columns(g, selected, 2)  # of batch, class and box


def align_rois(layer: RoIAlign, maps: Tensor, rois: Tensor) -> Tensor:
    """Return the features of boxes, as mmcv's layer computes them.

    Shape:
        Maps (1, C, H, W) and rois (N, 5) -> (N, C, height, width).
    """
    return _RoIAlign.apply(
        maps,
        rois,
        layer.output_size,
        layer.spatial_scale,
        layer.sampling_ratio,
        layer.pool_mode,
        layer.aligned,
    )


def suppress(boxes: Tensor, scores: Tensor, iou_threshold: float, limit: int) -> Tensor:
    """Return the indices of the boxes that no better box overlaps, best first.

    They are at most ``limit``, or all if it is -1.

    Shape:
        Boxes (N, 4) and scores (N,) -> (K,).
    """
    kept = _NMS.apply(boxes, scores, iou_threshold, 0, 0.0, limit)
    return kept[scores[kept].argsort(descending=True)]  # ONNX does not define an order


def _constant(g, values):
    return g.op('Constant', value_t=torch.tensor(values))


def _columns(g, matrix, columns):
    return g.op('Gather', matrix, _constant(g, columns), axis_i=1)
