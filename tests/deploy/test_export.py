"""Deployed networks in other runtimes, at batches and sizes that they were not exported with."""

import numpy as np
import pytest
import torch
from mmdet.models.backbones.resnet import Bottleneck
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from norm_statistics import randomise
from tiny_detector import tiny_detector  # noqa: F401
from torch import nn

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.deploy import RawOutputs, export_onnx, export_program, greatest_difference
from epsanet_mmdet.errors import ArgumentError
from epsanet_mmdet.models import EPSANet, SDARes2Net
from epsanet_mmdet.models.deployed import deploy
from epsanet_mmdet.models.epsanet import EPSABlock

SIZES = [(1, 3, 64, 64), (3, 3, 70, 93), (1, 3, 33, 250)]
DETECTOR_SIZES = [(1, 3, 160, 190), (3, 3, 170, 233)]
TWO_STAGES = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))


@pytest.fixture(autouse=True)
def one_block_a_stage(monkeypatch):
    """Exporting takes seconds for each block, and all blocks of a stage are alike."""
    monkeypatch.setitem(EPSANet.arch_settings, 50, (EPSABlock, (1, 1, 1, 1)))


def outputs(model: nn.Module, images: torch.Tensor):
    with torch.no_grad():
        return RawOutputs(model).eval()(images)


def backbone(arch: str) -> nn.Module:
    return randomise(EPSANet(50, arch, **TWO_STAGES)).eval()


def retinanet() -> nn.Module:
    config = load_config('retinanet_epsanet50-s_fpn_1x_coco')
    config.model.backbone.init_cfg = None
    config.model.neck.out_channels = 32
    config.model.bbox_head.update(in_channels=32, feat_channels=32, stacked_convs=1, num_classes=2)
    return randomise(MODELS.build(config.model)).eval()


@pytest.fixture
def mask_rcnn(tiny_detector):  # noqa: F811
    return randomise(MODELS.build(Config.fromfile(tiny_detector.config).model)).eval()


def onnx_runtime(path):
    onnxruntime = pytest.importorskip('onnxruntime', reason='needs the export extra')
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return lambda x: [torch.from_numpy(o) for o in session.run(None, {'images': x.numpy()})]


def openvino(path):
    openvino = pytest.importorskip('openvino', reason='needs the export extra')
    precise = {'INFERENCE_PRECISION_HINT': 'f32'}  # by default it takes bf16 where that is faster
    model = openvino.Core().compile_model(str(path), 'CPU', precise)
    return lambda x: [torch.from_numpy(np.array(o)) for o in model(x.numpy()).values()]


def write_onnx(model, path):
    pytest.importorskip('onnxscript', reason='needs the export extra')
    return export_onnx(deploy(model), path)


@pytest.mark.parametrize('arch', ['small', 'large'])
def test_onnx_of_a_backbone_runs_to_1e_4_at_any_batch_and_size(arch, tmp_path):
    model, path = backbone(arch), tmp_path / 'model.onnx'
    assert write_onnx(model, path) == ['feature_0', 'feature_1']
    for runtime in (onnx_runtime(path), openvino(path)):
        for size in SIZES:
            images = torch.randn(size)
            assert greatest_difference(runtime(images), outputs(model, images)) < 1e-4


def test_onnx_of_a_backbone_that_selects_depths(tmp_path, monkeypatch):
    monkeypatch.setitem(SDARes2Net.arch_settings, 50, (Bottleneck, (2, 2, 2, 2)))
    model = randomise(SDARes2Net(50, base_channels=8, **TWO_STAGES)).eval()
    write_onnx(model, tmp_path / 'model.onnx')
    run = onnx_runtime(tmp_path / 'model.onnx')
    for size in SIZES:
        images = torch.randn(size)
        assert greatest_difference(run(images), outputs(model, images)) < 1e-4


def test_onnx_has_standard_operators_only(tmp_path):
    onnx = pytest.importorskip('onnx', reason='needs the export extra')
    write_onnx(backbone('small'), tmp_path / 'model.onnx')
    model = onnx.load(tmp_path / 'model.onnx')
    onnx.checker.check_model(model)
    assert {node.domain for node in model.graph.node} == {''} and not model.functions
    assert 'BatchNormalization' not in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize('arch', ['small', 'large'])
def test_torch_export_of_a_backbone_at_any_batch_and_size(arch):
    model = backbone(arch)
    program = export_program(deploy(model)).module()
    for size in SIZES:
        images = torch.randn(size)
        assert greatest_difference(program(images), outputs(model, images)) < 1e-4


def test_a_two_stage_detector_up_to_its_proposals(mask_rcnn, tmp_path):
    names = write_onnx(mask_rcnn, tmp_path / 'model.onnx')
    assert names == [
        f'{kind}_{i}' for kind in ('feature', 'cls_score', 'bbox_pred') for i in range(5)
    ]
    runtime = onnx_runtime(tmp_path / 'model.onnx')
    for size in DETECTOR_SIZES:
        images = torch.randn(size)
        assert greatest_difference(runtime(images), outputs(mask_rcnn, images)) < 1e-4


def test_mmdet_finishes_what_a_runtime_began_on_a_one_stage_detector(tmp_path):
    model = retinanet()
    names = write_onnx(model, tmp_path / 'model.onnx')
    runtime = onnx_runtime(tmp_path / 'model.onnx')
    images = torch.randn(1, 3, 170, 233)
    named = dict(zip(names, runtime(images)))
    scores, boxes = (
        [named[f'{kind}_{i}'] for i in range(5)] for kind in ('cls_score', 'bbox_pred')
    )
    meta = dict(img_shape=(170, 233), ori_shape=(170, 233), scale_factor=(1.0, 1.0))
    with torch.no_grad():
        found = model.bbox_head.predict_by_feat(scores, boxes, batch_img_metas=[meta])[0]
        expected = model.predict(images, [DetDataSample(metainfo=meta)], rescale=False)[0]
    assert len(found) == len(expected.pred_instances) > 0
    torch.testing.assert_close(found.scores, expected.pred_instances.scores, rtol=1e-3, atol=1e-4)


def test_mmdet_finishes_what_a_runtime_began_on_a_two_stage_detector(mask_rcnn, tmp_path):
    names = write_onnx(mask_rcnn, tmp_path / 'model.onnx')
    images = torch.randn(1, 3, 170, 233)
    named = dict(zip(names, onnx_runtime(tmp_path / 'model.onnx')(images)))
    features, scores, boxes = (
        [named[f'{kind}_{i}'] for i in range(5)] for kind in ('feature', 'cls_score', 'bbox_pred')
    )
    meta = dict(img_shape=(170, 233), ori_shape=(170, 233), scale_factor=(1.0, 1.0))
    samples = [DetDataSample(metainfo=meta)]
    with torch.no_grad():
        proposals = mask_rcnn.rpn_head.predict_by_feat(
            scores, boxes, batch_img_metas=[meta], rescale=False
        )
        found = mask_rcnn.roi_head.predict(features, proposals, samples)[0]
        expected = mask_rcnn.predict(images, samples, rescale=False)[0].pred_instances
    assert len(found) == len(expected) > 0
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-4)


def test_torch_export_cannot_follow_mmdet_to_the_detections(mask_rcnn):
    """Why whole detectors are exported otherwise: the number of boxes depends on the image."""

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.detector = deploy(mask_rcnn)

        def forward(self, images):
            meta = dict(img_shape=(160, 288), ori_shape=(160, 288), scale_factor=(1.0, 1.0))
            result = self.detector.predict(images, [DetDataSample(metainfo=meta)])
            return result[0].pred_instances.bboxes

    with pytest.raises(Exception, match='data-dependent'):
        torch.export.export(Whole().eval(), (torch.randn(1, 3, 160, 288),))


def test_what_has_no_dense_head_is_refused_by_name():
    class Strange(nn.Module):
        def __init__(self):
            super().__init__()
            self.bbox_head = nn.Bilinear(1, 1, 1)

        def extract_feat(self, images):
            return (images,)

    with pytest.raises(ArgumentError, match='Strange .* backbone') as caught:
        RawOutputs(Strange())
    assert '\n' not in str(caught.value)
