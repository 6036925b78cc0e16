"""mmcv's RoIAlign and NMS in ONNX Runtime equal those in torch."""

import io

import numpy as np
import pytest
import torch
from mmcv.ops import RoIAlign, nms
from torch import nn

from epsanet_mmdet.deploy.operators import align_rois, suppress

onnxruntime = pytest.importorskip('onnxruntime', reason='needs the export extra')

OPSETS = [16, 18, 20]


def in_onnx_runtime(function, inputs, opset, dynamic):
    class Module(nn.Module):
        def forward(self, *args):
            return function(*args)

    buffer = io.BytesIO()
    names = [f'x{i}' for i in range(len(inputs))]
    torch.onnx.export(
        Module(),
        inputs,
        buffer,
        input_names=names,
        dynamic_axes={name: {0: f'n{name}'} for name in dynamic},
        opset_version=opset,
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=['CPUExecutionProvider'])
    return lambda *args: session.run(None, dict(zip(names, (a.numpy() for a in args))))[0]


def random_boxes(count, side=60.0):
    corners = torch.rand(count, 2) * side
    return torch.cat([corners, corners + torch.rand(count, 2) * side], dim=1)


@pytest.mark.parametrize('opset', OPSETS)
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_roi_align(opset, aligned, sampling_ratio):
    layer = RoIAlign(7, 1 / 4, sampling_ratio, aligned=aligned)
    maps = torch.randn(1, 5, 20, 30)
    rois = torch.cat([torch.zeros(9, 1), random_boxes(9)], dim=1)
    run = in_onnx_runtime(lambda m, r: align_rois(layer, m, r), (maps, rois[:2]), opset, ['x1'])
    rois[0, 1:] = torch.tensor([10.0, 10.0, 10.5, 10.25])  # smaller than a pixel of the map
    np.testing.assert_allclose(run(maps, rois), layer(maps, rois), atol=1e-5)
    assert run(maps, rois[:0]).shape == (0, 5, 7, 7)


@pytest.mark.parametrize('opset', OPSETS)
@pytest.mark.parametrize('limit', [5, 1000, -1])
def test_nms(opset, limit):
    run = in_onnx_runtime(
        lambda b, s: suppress(b, s, 0.5, limit),
        (random_boxes(3), torch.rand(3)),
        opset,
        ['x0', 'x1'],
    )
    boxes, scores = random_boxes(200), torch.rand(200)
    kept = nms(boxes, scores, 0.5)[1][: limit if limit > 0 else None]
    assert len(kept) in range(5, 200)
    assert (
        run(boxes, scores).tolist() == kept.tolist() == suppress(boxes, scores, 0.5, limit).tolist()
    )
    assert run(boxes[:0], scores[:0]).shape == (0,)
