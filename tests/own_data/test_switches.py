"""Each choice of a new config is written with its explanation, and impossible ones are refused."""

import math
import sys
from pathlib import Path

import pytest
from mmdet.registry import DATASETS, HOOKS, VISUALIZERS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from one_line import error_line
from small_data import coco_content, write_coco, write_json, write_yolo

from epsanet_cli.main import run
from epsanet_mmdet.errors import ArgumentError, ExtraError
from epsanet_mmdet.own_data.new_config import Switches, new_config, switches
from epsanet_mmdet.own_data.new_config.balance import balance_classes
from epsanet_mmdet.own_data.new_config.planning import Machine

CPU, GPU = Machine(0, 2), Machine(24, 8)
MODEL = 'mask-rcnn_epsanet50-s'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp('switched') / 'data', 8, 2)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(root, model=MODEL, machine=CPU, **choices):
    path = new_config([str(root)], model, 'c.py', machine=machine, switches=Switches(**choices))
    text = Path(path).read_text(encoding='utf-8')
    Path(path).unlink()
    return Config.fromstring(text, '.py'), text


def types(pipeline):
    return [transform['type'] for transform in pipeline]


def build(section, registry):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return registry.build(section)


def test_without_choices_the_config_has_none(root):
    config, text = make(root)
    dataset = config.train_dataloader.dataset
    assert dataset.type == 'CheckedCocoDataset'
    assert types(dataset.pipeline) == [
        *('LoadImageFromFile', 'LoadAnnotations', 'Resize', 'RandomFlip', 'PackDetInputs')
    ]
    assert config.custom_hooks == [] and 'custom_hooks' not in text
    assert [backend.type for backend in config.vis_backends] == ['LocalVisBackend']
    assert config.optim_wrapper.type == 'OptimWrapper'
    assert 'accumulative_counts' not in config.optim_wrapper


@pytest.mark.parametrize(
    'choices, comments',
    [
        (dict(augment=['colour', 'scale-jitter']), ['# Colour: ', '# Scale jitter: ']),
        (dict(augment=['mosaic'], balance_classes=True), ['# Mosaic: ', '# Class balance: ']),
        (dict(augment=['copy-paste']), ['# Copy-paste: ']),
        (dict(ema=True, early_stopping=3), ['# EMA: ', '# Early stopping: ']),
        (dict(accumulate=4), ['# Gradient accumulation: ']),
        (dict(amp=True, machine=GPU), ['# Mixed precision: ']),
    ],
    ids=str,
)
def test_each_choice_has_one_comment(choices, comments, root):
    _, text = make(root, **choices)
    plain = make(root, machine=choices.get('machine', CPU))[1]
    for comment in comments:
        assert text.count(comment) == 1 and comment not in plain


@pytest.mark.parametrize('model', [MODEL, 'faster-rcnn_epsanet50-s'])
@pytest.mark.parametrize(
    'augment', [[], ['colour', 'scale-jitter'], ['mosaic'], ['copy-paste'], ['mosaic', 'colour']]
)
def test_pipelines_return_images_with_objects(augment, model, root):
    if 'copy-paste' in augment and model != MODEL:
        pytest.skip('refused, see below')
    config, _ = make(root, model, augment=augment, balance_classes='colour' in augment)
    side = max(config.scale)
    dataset = build(config.train_dataloader.dataset, DATASETS)
    for i in range(len(dataset)):
        packed = dataset[i]
        assert max(packed['inputs'].shape) <= side
        objects = packed['data_samples'].gt_instances
        assert ('masks' in objects) == (model == MODEL)
        assert len(objects) and (objects.bboxes.tensor[:, 2:] > objects.bboxes.tensor[:, :2]).all()


def test_rare_classes_are_shown_more_often(tmp_path):
    content = coco_content(tmp_path / 'images', 20)
    content['annotations'] = [
        a for a in content['annotations'] if a['category_id'] == 1 or a['image_id'] <= 2
    ]
    write_json(tmp_path / 'all.json', content)
    config, text = make(tmp_path / 'all.json', balance_classes=True)
    dataset = build(config.train_dataloader.dataset, DATASETS)
    assert f'an epoch has {len(dataset)} images instead of {len(dataset.dataset)}' in ' '.join(
        text.replace('#', '').split()
    )
    share = 2 / 16  # two of the sixteen images that are not held out have the rare class
    factor = math.ceil(math.sqrt((1 + share) / 2 / share))
    assert len(dataset) == 16 + 2 * (factor - 1)


def test_classes_without_images_do_not_divide_by_zero(tmp_path):
    from epsanet_mmdet.own_data.formats.split import Split

    images = [dict(id=i) for i in range(3)]
    annotations = [dict(image_id=i, category_id=7) for i in range(2)]
    split = Split('train', '', 'coco', '', images, annotations, ['unused', 'used'])
    assert balance_classes(split).threshold == 1.0


def test_hooks_are_additions_to_those_that_guard_the_run(root):
    config, _ = make(root, ema=True, early_stopping=3)
    assert types(config.custom_hooks) == ['EMAHook', 'ResumableEarlyStoppingHook']
    assert config.default_hooks.finite_loss.type == 'FiniteLossHook'
    for hook in config.custom_hooks:
        build(hook, HOOKS)
    assert config.custom_hooks[1].patience == 3
    assert 0 < config.custom_hooks[0].momentum < 1


def test_the_learning_rate_is_for_all_images_of_a_step(root):
    one, four = make(root)[0].optim_wrapper, make(root, accumulate=4)[0].optim_wrapper
    assert four.accumulative_counts == 4
    assert four.optimizer.lr == pytest.approx(4 * one.optimizer.lr)
    Path('checkpoints').mkdir()
    Path('checkpoints/epsanet50-s.pth').touch()
    one, four = make(root)[0].optim_wrapper, make(root, accumulate=4)[0].optim_wrapper
    assert one.optimizer.type == four.optimizer.type == 'SGD'
    assert four.optimizer.lr == pytest.approx(4 * one.optimizer.lr)


@pytest.mark.parametrize('found', [True, False], ids=['SGD', 'AdamW'])
def test_mixed_precision_replaces_only_the_wrapper(found, root):
    if found:
        Path('checkpoints').mkdir()
        Path('checkpoints/epsanet50-s.pth').touch()
    plain, mixed = (make(root, machine=GPU, amp=amp)[0].optim_wrapper for amp in (False, True))
    assert mixed.type == 'AmpOptimWrapper' and mixed.loss_scale == 'dynamic'
    assert mixed.optimizer == plain.optimizer and mixed.clip_grad == plain.clip_grad


def test_trackers_are_added_to_the_files_that_are_always_written(root, monkeypatch):
    monkeypatch.setattr(switches, 'find_spec', lambda name: name)
    config, text = make(root, log=list(switches.TRACKERS))
    assert types(config.visualizer.vis_backends) == [
        *('LocalVisBackend', 'TensorboardVisBackend', 'WandbVisBackend', 'MLflowVisBackend')
    ]
    assert all(f'# {name}: ' in text for name in ('TensorBoard', 'Weights & Biases', 'MLflow'))
    config.visualizer.save_dir = 'work'
    config.visualizer.name = 'test_switches'
    build(config.visualizer, VISUALIZERS)


# Choices that are refused


@pytest.mark.parametrize(
    'choices, message',
    [
        (dict(accumulate=0), '--accumulate 0 is too small'),
        (dict(early_stopping=0), '--early-stopping 0 is too small'),
        (dict(early_stopping=-3), '--early-stopping -3 is too small'),
        (dict(augment=['mosaic', 'copy-paste']), 'use mosaic or copy-paste'),
        (dict(augment=['mixup']), "'mixup' is none of colour, scale-jitter, mosaic, copy-paste"),
        (dict(log=['comet']), "'comet' is none of tensorboard, wandb, mlflow"),
    ],
    ids=str,
)
def test_impossible_choices_are_refused(choices, message):
    assert message in error_line(ArgumentError, Switches, **choices)


def test_copy_paste_needs_masks(tmp_path):
    root = write_yolo(tmp_path / 'data')
    line = error_line(ArgumentError, make, root, 'faster-rcnn_epsanet50-s', augment=['copy-paste'])
    assert 'boxes only; use mosaic' in line
    assert not list(tmp_path.glob('*.py')) and not list(tmp_path.glob('*.json'))


def test_mixed_precision_needs_a_gpu(root):
    assert '--amp needs a GPU' in error_line(ArgumentError, make, root, amp=True)


def test_a_missing_tracker_is_named_with_the_command_that_installs_it(root, monkeypatch):
    monkeypatch.setattr(switches, 'find_spec', lambda name: None)
    line = error_line(ExtraError, make, root, log=['mlflow'])
    assert line.endswith('run: pip install mlflow')


def test_the_command_has_all_choices(root, monkeypatch, capsys):
    options = ['--augment', 'colour', 'mosaic', '--balance-classes', '--ema']
    options += ['--early-stopping', '--accumulate', '2']
    command = ['--data', str(root), '--model', MODEL, '--out', 'd.py', *options]
    monkeypatch.setattr(sys, 'argv', ['new_config.py', *command])
    run('new-config')
    config = Config.fromfile('d.py')
    assert config.custom_hooks[1].patience == 5
    assert config.optim_wrapper.accumulative_counts == 2
    assert types(config.train_pipeline)[0] == 'InstanceMosaic'
    assert 'wrote d.py' in capsys.readouterr().out
