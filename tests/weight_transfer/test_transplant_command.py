"""A ResNet's checkpoint becomes one that the detection configs start from, or a one-line error."""

import json
from pathlib import Path

import pytest
import torch
from classifier_files import resnet
from mmdet.registry import MODELS
from teacher_files import quiet
from tool_process import run_tool

import epsanet_mmdet  # noqa: F401
from epsanet_mmdet import weight_transfer
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.errors import ArgumentError, CheckpointError, DataError, StorageError
from epsanet_mmdet.weight_transfer import run_transplant


@pytest.fixture(scope='module', params=['small', 'large'])
def made(request, teacher_file, tmp_path_factory):
    out = tmp_path_factory.mktemp('out') / 'new folder' / 'ours.pth'
    result = run_transplant(
        teacher_file, str(out), request.param, method='slice', image_size=32, progress=quiet
    )
    return request.param, out, result


def test_the_detection_configs_start_from_it(made):
    arch, out, _ = made
    config = load_config(f'mask-rcnn_epsanet50-{arch[0]}_fpn_1x_coco')
    backbone = MODELS.build(
        {**config.model.backbone, 'init_cfg': dict(type='Pretrained', checkpoint=str(out))}
    )
    backbone.init_weights()
    weights = torch.load(out)['state_dict']
    assert weights.keys() == backbone.state_dict().keys()
    for name, value in backbone.state_dict().items():
        torch.testing.assert_close(value, weights[name])


def test_a_report_is_written_beside_it(made):
    arch, out, result = made
    report = json.loads(out.with_suffix('.json').read_text())
    assert report == torch.load(out)['meta']
    assert report['arch'] == arch and report['depth'] == 50 and report['method'] == 'slice'
    assert report['donor'] == 'resnet50.pth'
    assert [stage['stage'] for stage in report['response_kept']] == [1, 2, 3, 4]
    for stage, ours in zip(report['response_kept'], result.stages):
        assert stage['output'] == ours.output
    assert '16 generated images' in str(result) and '| slice | 4 |' in str(result)
    assert sorted(file.name for file in out.parent.iterdir()) == ['ours.json', 'ours.pth']


@pytest.mark.parametrize('arch, name', [('small', 's'), ('large', 'l'), ('large-paper', 'l-paper')])
def test_the_default_is_the_file_that_the_configs_name(
    arch, name, teacher_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    default = Path(f'checkpoints/epsanet50-{name}.pth')
    default.parent.mkdir()
    default.symlink_to(teacher_file)
    with pytest.raises(ArgumentError, match=f"'{default}' is the teacher itself"):
        run_transplant(teacher_file, arch=arch, progress=quiet)
    if arch == 'small':
        backbone = load_config('mask-rcnn_epsanet50-s_fpn_1x_coco').model.backbone
        assert backbone.init_cfg.checkpoint == str(default)


def stop(line):
    raise KeyboardInterrupt


def test_an_interruption_leaves_existing_files_as_they_were(teacher_file, tmp_path):
    out = tmp_path / 'ours.pth'
    out.write_bytes(b'old')
    old = '{"response_kept": []}'
    out.with_suffix('.json').write_text(old)
    with pytest.raises(KeyboardInterrupt):
        run_transplant(teacher_file, str(out), method='slice', image_size=32, progress=stop)
    assert out.read_bytes() == b'old' and out.with_suffix('.json').read_text() == old
    assert sorted(file.name for file in tmp_path.iterdir()) == ['ours.json', 'ours.pth']


def test_an_unwritable_file_is_reported_before_the_work(teacher_file, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(StorageError, match='file'):
        run_transplant(teacher_file, str(tmp_path / 'file' / 'ours.pth'), progress=stop)


@pytest.mark.parametrize(
    'arguments, error, message',
    [
        (dict(depth=101), CheckpointError, 'is a ResNet-50, but depth 101 was asked for'),
        (dict(arch='huge'), ArgumentError, "no arch 'huge'; choose one of small, large"),
        (dict(method='magic'), ArgumentError, "no method 'magic'; choose one of random, slice"),
        (dict(method='fit'), ArgumentError, "'fit' needs images"),
        (dict(images='nowhere'), DataError, "'nowhere' is not a folder"),
        (dict(image_size=31), ArgumentError, 'image_size=31'),
        (dict(views=0), ArgumentError, 'views=0'),
        (dict(positions=-1), ArgumentError, 'positions=-1'),
        (dict(max_images=0), ArgumentError, 'max_images=0'),
        (dict(detector=True), CheckpointError, "without a detector's neck and heads"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message, teacher_file, tmp_path):
    with pytest.raises(error, match=message) as caught:
        run_transplant(teacher_file, str(tmp_path / 'o.pth'), progress=quiet, **arguments)
    assert '\n' not in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_only_a_report_is_replaced_by_the_report(teacher_file, tmp_path):
    other = tmp_path / 'annotations.json'
    other.write_text('{"images": []}')
    for name, words in (
        ('annotations.pth', 'is another file'),
        ('a.json', 'for the rep'),
    ):
        with pytest.raises(ArgumentError, match=words):
            run_transplant(teacher_file, str(tmp_path / name), progress=stop)
    assert [file.name for file in tmp_path.iterdir()] == ['annotations.json']
    assert other.read_text() == '{"images": []}'


def test_a_teacher_of_another_width_is_refused(tmp_path):
    path = tmp_path / 'narrow.pth'
    torch.save(resnet(50, width=32), path)
    with pytest.raises(CheckpointError, match='32'):
        run_transplant(str(path), str(tmp_path / 'o.pth'), progress=quiet)


def test_the_tool_ends_with_one_line(tmp_path):
    (tmp_path / 'teacher.pth').write_bytes(b'PK\x03\x04 cut')
    done = run_tool('transplant.py', tmp_path / 'teacher.pth', tmp_path / 'o.pth')
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('error: ') and 'teacher.pth is damaged' in last
    assert 'Traceback' not in done.stderr


def test_old_names_work_and_warn(tmp_path):
    result = weight_transfer.Transplant(tmp_path, 'fit', [], 'nothing')
    with pytest.warns(DeprecationWarning, match='responses is now stages'):
        assert result.responses is result.stages
    with pytest.warns(DeprecationWarning, match='response_table is now .*reconstruction_table'):
        assert weight_transfer.response_table is weight_transfer.reconstruction_table
    with pytest.warns(DeprecationWarning, match='"donor" is deprecated'):
        with pytest.raises(CheckpointError, match='nowhere'):
            run_transplant(donor='nowhere')
