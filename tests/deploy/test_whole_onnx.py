"""One file holds a whole detector, and other runtimes detect with it what mmdet detects."""

import cv2
import numpy as np
import pytest
from exportable import KINDS, picture, predicted, small_detector
from one_line import error_line

from epsanet_mmdet.deploy import deploy, export_detector, prepare_for
from epsanet_mmdet.deploy.agreement import compare_detections
from epsanet_mmdet.deploy.runtimes import convert_to_openvino, load_exported
from epsanet_mmdet.deploy.selection import final_options
from epsanet_mmdet.errors import ArgumentError

onnx = pytest.importorskip('onnx', reason='needs the export extra')
pytest.importorskip('onnxruntime', reason='needs the export extra')

SIZES = [((160, 192), (160, 192)), ((97, 203), (251, 400)), ((203, 97), (301, 180))]
NAMES = ['boxes', 'scores', 'labels', 'masks']


def in_openvino(onnx_file):
    pytest.importorskip('openvino', reason='needs the export extra')
    path = onnx_file.with_name('converted.xml')
    convert_to_openvino(onnx_file, path)
    return load_exported(path)


def require_same_detections(run, detector, least=1, tolerance=1e-4):
    for size, original in SIZES:
        image = picture(*size)
        expected = predicted(detector, image, original)
        assert len(expected[1]) >= least
        got = run(dict(image=image, original_size=np.array(original)))
        floor = expected[1].min() if least else 0
        assert compare_detections(got, expected, original, floor).difference < tolerance


@pytest.mark.parametrize('kind', KINDS)
def test_onnx_runtime_and_openvino_detect_the_same_at_any_size(kind, tmp_path):
    detector, path = small_detector(kind), tmp_path / 'model.onnx'
    outputs = export_detector(deploy(detector), path)
    assert list(outputs) == NAMES[: len(outputs)] and ('masks' in outputs) == (kind == 'mask-rcnn')
    for run in (load_exported(path), in_openvino(path)):
        require_same_detections(run, detector)


@pytest.mark.parametrize('kind', KINDS)
def test_the_same_detections_in_photographs(kind, tiny_coco, tmp_path):
    detector, path = small_detector(kind), tmp_path / 'model.onnx'
    export_detector(deploy(detector), path)
    runs, compared = (load_exported(path), in_openvino(path)), 0
    for file in sorted((tiny_coco / 'val2017').glob('*.jpg'))[:8]:
        photograph = cv2.imread(str(file))
        height, width = photograph.shape[:2]
        image = cv2.resize(photograph, (width // 2, height // 2))
        expected = predicted(detector, image, (height, width))
        compared += len(expected[1])
        for run in runs:
            got = run(dict(image=image, original_size=np.array([height, width])))
            floor = min(expected[1], default=0)
            assert compare_detections(got, expected, (height, width), floor).difference < 1e-4
    assert compared > 50


@pytest.mark.parametrize('kind', KINDS)
def test_an_image_without_objects(kind, tmp_path):
    detector, path = small_detector(kind), tmp_path / 'model.onnx'
    final_options(detector).score_thr = 1.0
    export_detector(deploy(detector), path)
    for run in (load_exported(path), in_openvino(path)):
        got = run(dict(image=picture(64, 96), original_size=np.array([128, 192])))
        assert [len(part) for part in got] == [0] * len(got)


def test_a_file_for_gpus_has_wider_groups_and_detects_the_same(tmp_path):
    detector = small_detector('mask-rcnn')
    groups = {}
    for target in ('cpu', 'cuda'):
        path = tmp_path / f'{target}.onnx'
        export_detector(prepare_for(deploy(detector), target), path)
        require_same_detections(load_exported(path), detector)
        convs = [node for node in onnx.load(path).graph.node if node.op_type == 'Conv']
        groups[target] = [a.i for node in convs for a in node.attribute if a.name == 'group']
    assert max(groups['cpu']) == 16 and max(groups['cuda']) < 16


@pytest.mark.parametrize('opset', [16, 20])
def test_the_oldest_and_the_newest_operators(opset, tmp_path):
    detector, path = small_detector('mask-rcnn'), tmp_path / 'model.onnx'
    export_detector(deploy(detector), path, opset=opset)
    model = onnx.load(path)
    assert [(o.domain, o.version) for o in model.opset_import] == [('', opset)]
    require_same_detections(load_exported(path), detector)


@pytest.mark.parametrize('opset', [11, 15, 21])
def test_operators_that_are_too_old_or_too_new(opset, tmp_path):
    line = error_line(
        ArgumentError,
        export_detector,
        small_detector('retinanet'),
        tmp_path / 'm.onnx',
        opset=opset,
    )
    assert f'opset {opset}' in line and '16 to 20' in line


def test_the_file_states_its_inputs_outputs_and_metadata(tmp_path):
    path = tmp_path / 'model.onnx'
    export_detector(deploy(small_detector('mask-rcnn')), path, dict(classes='["a"]'))
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {p.key: p.value for p in model.metadata_props} == dict(classes='["a"]')
    assert {node.domain for node in model.graph.node} == {''} and not model.functions
    assert 'BatchNormalization' not in {node.op_type for node in model.graph.node}

    def shapes(values):
        return {
            v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in values
        }

    assert shapes(model.graph.input) == dict(image=['height', 'width', 3], original_size=[2])
    assert shapes(model.graph.output) == dict(
        boxes=['detections', 4],
        scores=['detections'],
        labels=['detections'],
        masks=['detections', 'original_height', 'original_width'],
    )


@pytest.mark.slow(minutes=2)
@pytest.mark.parametrize(
    'config',
    [
        'mask-rcnn_epsanet50-l_fpn_1x_coco',
        'mask-rcnn_epsanet50-s_aff-fpn_1x_coco',
        'mask-rcnn_cbam50_fpn_1x_coco',
        'mask-rcnn_fcanet50_fpn_1x_coco',
        'mask-rcnn_coordatt50_fpn_1x_coco',
        'mask-rcnn_danet50_fpn_1x_coco',
        'mask-rcnn_gcnet50_fpn_1x_coco',
        'mask-rcnn_bam50_fpn_1x_coco',
        'mask-rcnn_ecanet50_fpn_1x_coco',
        'mask-rcnn_senet50_fpn_1x_coco',
        'mask-rcnn_iaff-resnet50_fpn_1x_coco',
        'mask-rcnn_psa-res2net50_fpn_1x_coco',
        'mask-rcnn_epsanet50-s-scratch_fpn_gn-all_6x_coco',
        'mask-rcnn_epsanet50-s-no-softmax_fpn_1x_coco',
        'mask-rcnn_embanet50-s-spc_fpn_1x_coco',
        'mask-rcnn_sknet50_fpn_1x_coco',
    ],
)
def test_other_backbones_and_necks(config, tmp_path):
    detector, path = small_detector(config), tmp_path / 'model.onnx'
    export_detector(deploy(detector), path)
    require_same_detections(load_exported(path), detector, least=0, tolerance=1e-3)
