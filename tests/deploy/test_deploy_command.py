"""From a checkpoint to deployed files, and what a user may get wrong."""

import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from one_line import error_line
from tiny_detector import CLASSES, tiny_detector, write_checkpoint  # noqa: F401
from tool_process import run_tool

from epsanet_mmdet.deploy import command, export, load_deployed, run_deploy
from epsanet_mmdet.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    DifferenceError,
    ExtraError,
)
from epsanet_mmdet.inference.detector import Detector
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.models.deployed import deploy
from epsanet_mmdet.models.epsanet import EPSABlock

META = dict(classes=CLASSES, palette=None)


def test_writes_a_checkpoint_that_loads_as_the_deployed_detector(tiny_detector, tmp_path):  # noqa: F811
    path = tmp_path / 'deployed.pth'
    lines = []
    (difference,) = run_deploy(*tiny_detector[:2], [str(path)], write=lines.append)
    assert difference < 1e-5 and str(path) in lines[0]
    deployed = load_deployed(tiny_detector.config, path)
    assert deployed.dataset_meta['classes'] == ('disc', 'box')
    trained = Detector(*tiny_detector[:2], 'cpu').model
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        pairs = zip(deployed.extract_feat(images), trained.extract_feat(images))
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('out', ['checkpoint', 'link', 'image'])
def test_inputs_are_never_overwritten(out, tiny_detector, tmp_path):  # noqa: F811
    image = tmp_path / 'picture.onnx'
    image.write_bytes(next(tiny_detector.images.iterdir()).read_bytes())
    (tmp_path / 'link.pth').symlink_to(tiny_detector.checkpoint)
    paths = dict(
        checkpoint=tiny_detector.checkpoint, link=str(tmp_path / 'link.pth'), image=str(image)
    )
    line = error_line(DataError, run_deploy, *tiny_detector[:2], [paths[out]], image=str(image))
    assert 'would be overwritten, but it is an input; choose another --out' in line


def merged(weight, groups, fewer):
    """Write the weight of a grouped convolution as the block-diagonal one of fewer groups."""
    outputs, inputs = weight.shape[:2]
    wide = weight.new_zeros(outputs, inputs * groups // fewer, *weight.shape[2:])
    for o in range(outputs):
        first = o * groups // outputs % (groups // fewer) * inputs
        wide[o, first : first + inputs] = weight[o]
    return wide


def test_weights_that_an_earlier_version_deployed_with_merged_groups_load(
    tiny_detector,  # noqa: F811
    tmp_path,
):
    path = tmp_path / 'deployed.pth'
    run_deploy(*tiny_detector[:2], [str(path)], write=lambda line: None)
    images, content = torch.randn(1, 3, 64, 96), torch.load(path)
    deployed = load_deployed(tiny_detector.config, path)
    expected = deployed.extract_feat(images)
    changed = 0
    for name, module in deployed.named_modules():
        if name.split('.')[-2:-1] == ['convs'] and '.branches.' in name and module.groups > 1:
            weight = content['state_dict'][f'{name}.weight']
            content['state_dict'][f'{name}.weight'] = merged(weight, module.groups, 1)
            changed += 1
    assert changed
    torch.save(content, path)
    for ours, theirs in zip(
        load_deployed(tiny_detector.config, path).extract_feat(images), expected
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_tool_writes_a_program_that_runs_without_this_package(tiny_detector, tmp_path):  # noqa: F811
    path = str(tmp_path / 'model.pt2')
    result = run_tool('deploy.py', *tiny_detector[:2], '--backbone', '--out', path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith(f'{path}: a program of torch.export, the same')
    script = 'import torch, sys; p = torch.export.load(sys.argv[1]).module()\n'
    script += "print(len(p(torch.randn(1, 3, 80, 40))), 'mmdet' in sys.modules)"
    result = subprocess.run([sys.executable, '-c', script, path], capture_output=True, text=True)
    assert result.stdout.split() == ['4', 'False'], result.stderr


@pytest.fixture
def short(tiny_detector, monkeypatch, tmp_path):  # noqa: F811
    """Config and checkpoint of a detector with one block in each stage, which exports faster."""
    pytest.importorskip('onnxscript', reason='needs the export extra')
    monkeypatch.setitem(EPSANet.arch_settings, 50, (EPSABlock, (1, 1, 1, 1)))
    config = Config.fromfile(tiny_detector.config)
    return tiny_detector.config, write_checkpoint(config, tmp_path / 's.pth', dataset_meta=META)


def inputs_and_outputs(path):
    import onnx

    graph = onnx.load(path).graph
    return [value.name for value in graph.input], [value.name for value in graph.output]


def test_onnx_files_hold_the_whole_detector(short, tmp_path):
    path, lines = tmp_path / 'model.onnx', []
    (difference,) = run_deploy(*short, [path], write=lines.append)
    assert difference < 1e-3 and path.stat().st_size > 1e6
    assert inputs_and_outputs(path) == (
        ['image', 'original_size'],
        ['boxes', 'scores', 'labels', 'masks'],
    )
    assert lines[0].endswith('in 10 detections')


def test_onnx_files_hold_dense_outputs_or_the_backbone_on_demand(short, tmp_path):
    dense, backbone = tmp_path / 'dense.onnx', tmp_path / 'backbone.onnx'
    (difference,) = run_deploy(*short, [dense], dense=True, write=lambda line: None)
    assert difference < 1e-4
    names = [f'{kind}_{i}' for kind in ('feature', 'cls_score', 'bbox_pred') for i in range(5)]
    assert inputs_and_outputs(dense) == (['images'], names)
    (difference,) = run_deploy(*short, [backbone], backbone=True, write=lambda line: None)
    assert difference < 1e-4
    assert inputs_and_outputs(backbone) == (['images'], names[:4])


def test_openvino_files_state_the_classes(short, tmp_path):
    openvino = pytest.importorskip('openvino', reason='needs the export extra')
    path = tmp_path / 'model.xml'
    (difference,) = run_deploy(*short, [path], write=lambda line: None)
    assert difference < 1e-3
    model = openvino.Core().read_model(path)
    assert [output.any_name for output in model.outputs] == ['boxes', 'scores', 'labels', 'masks']
    assert model.get_rt_info(['framework', 'classes']).value == '["disc", "box"]'


def test_compares_detections_in_the_image_of_the_user(short, tiny_detector, tmp_path):  # noqa: F811
    image, lines = sorted(tiny_detector.images.iterdir())[0], []
    run_deploy(*short, [tmp_path / 'm.onnx'], image=str(image), write=lines.append)
    assert 'detections' in lines[0]
    line = error_line(
        DataError, run_deploy, *short, [tmp_path / 'm.onnx'], image=str(tmp_path / 'none.jpg')
    )
    assert 'none.jpg' in line


def test_states_that_nothing_was_detected(short, tmp_path):
    config = tmp_path / 'strict.py'
    strict = 'model = dict(test_cfg=dict(rcnn=dict(score_thr=1.0)))'
    config.write_text(f'_base_ = {str(short[0])!r}\n{strict}\n')
    lines = []
    run_deploy(str(config), short[1], [tmp_path / 'm.onnx'], write=lines.append)
    assert 'in 0 detections; compare again with --image' in lines[0]


def test_detections_of_another_detector_are_an_error(short, monkeypatch, tmp_path):
    def spoil(network):
        network = deploy(network)
        network.roi_head.bbox_head.fc_cls.bias.add_(torch.tensor([1.0, 0.0, 0.0]))
        return network

    monkeypatch.setattr(command, 'deploy', spoil)
    with pytest.raises(DifferenceError, match='do not use it'):
        run_deploy(*short, [tmp_path / 'model.onnx'], write=lambda line: None)


def test_a_file_that_computes_something_else_is_an_error(tiny_detector, monkeypatch, tmp_path):  # noqa: F811
    def spoil(network):
        network = deploy(network)
        network.backbone.conv1.bias.add_(1)
        return network

    monkeypatch.setattr(command, 'deploy', spoil)
    with pytest.raises(DifferenceError, match='do not use it'):
        run_deploy(*tiny_detector[:2], [tmp_path / 'model.pth'], write=lambda line: None)


@pytest.mark.parametrize(
    'out, options, named',
    [
        ('model.tflite', {}, 'tflite'),
        ('model.pth', dict(backbone=True), 'whole detector.*--backbone'),
        ('model.pth', dict(dense=True), 'whole detector.*--dense'),
        ('model.onnx', dict(opset=11), 'opset 11.* 16 to 20'),
        ('model.onnx', dict(opset=17, dense=True), 'opset 17.* 18 to 20'),
        ('model.onnx', dict(target='tpu'), 'tpu'),
        ('model.xml', dict(target='cuda'), 'OpenVINO'),
    ],
)
def test_refuses_what_it_cannot_write(tiny_detector, out, options, named):  # noqa: F811
    with pytest.raises(ArgumentError, match=named):
        run_deploy(*tiny_detector[:2], [out], **options)


@pytest.mark.parametrize(
    'out, missing',
    [('model.onnx', 'onnx'), ('model.onnx', 'onnxruntime'), ('model.xml', 'openvino')],
)
def test_a_missing_extra_is_named(tiny_detector, monkeypatch, out, missing):  # noqa: F811
    found = {'onnx', 'onnxscript', 'onnxruntime', 'openvino'} - {missing}
    monkeypatch.setattr(
        export.importlib.util, 'find_spec', lambda name: name if name in found else None
    )
    line = error_line(ExtraError, run_deploy, *tiny_detector[:2], [out])
    assert f'{missing} is not installed' in line and "'epsanet_mmdet[export]'" in line


def test_an_ordinary_checkpoint_is_not_loaded_as_a_deployed_one(tiny_detector):  # noqa: F811
    with pytest.raises(CheckpointError, match='epsanet deploy'):
        load_deployed(tiny_detector.config, tiny_detector.checkpoint)


def test_a_deployed_checkpoint_of_another_detector_is_refused(tiny_detector, tmp_path):  # noqa: F811
    path = tmp_path / 'deployed.pth'
    run_deploy(*tiny_detector[:2], [str(path)], write=lambda line: None)
    with pytest.raises(CheckpointError, match='another detector') as caught:
        load_deployed('retinanet_epsanet50-s_fpn_1x_coco', path)
    assert '\n' not in str(caught.value)


def test_the_hook_tests_a_deployed_detector(tiny_detector, tmp_path):  # noqa: F811
    scores = []
    for hooks in ([], [dict(type='DeployHook')]):
        file = tmp_path / 'deployed.py'
        file.write_text(f'_base_ = {str(tiny_detector.config)!r}\ncustom_hooks = {hooks}\n')
        config = Config.fromfile(file)
        config.work_dir, config.load_from = str(tmp_path), tiny_detector.checkpoint
        runner = Runner.from_cfg(config)
        original = runner.model
        scores.append(runner.test())
        assert runner.model is original, 'the trained model is back after the test'
    assert scores[0] == scores[1]
