"""A pre-training ends in a detector's backbone, resumes exactly, and refuses what cannot work."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner
from tiny_plan import reproduce
from tool_process import run_tool

import epsanet_mmdet.pretraining  # noqa: F401
from epsanet_mmdet import infer
from epsanet_mmdet.checkpoint.weight_files import read_weights
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.datasets.shape_folder import write_image_folder
from epsanet_mmdet.datasets.shapes import write_shapes
from epsanet_mmdet.errors import UserError
from epsanet_mmdet.pretraining.train import check_pretraining
from epsanet_mmdet.weight_transfer.conversion import convert_weights

DETECTOR = 'mask-rcnn_epsanet50-s-slim_fpn_shapes'
TINY = dict(images_per_class=8, val_per_class=1, size=48)
TWO_STAGES = {
    'model.backbone': dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,)),
    'model.in_channels': 256,
}


@pytest.fixture(scope='module')
def tree(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp('ten classes')
    write_image_folder(str(root), **TINY)
    return str(root)


def pretraining(tree: str, work_dir, epochs: int, **options) -> Config:
    """The shipped config of EPSANet-50 small for CPUs, slim, on images of 32 pixels."""
    config = load_config(
        'epsanet50-s_1xb16_shapes',
        {
            'data_root': tree,
            'work_dir': str(work_dir),
            'model.detector': DETECTOR,
            'model.in_channels': 1024,
            'train_cfg': dict(max_epochs=epochs, val_interval=epochs),
            'optim_wrapper.optimizer': dict(lr=1e-3, weight_decay=0.0),
            'param_scheduler.0.end': 10,
            'param_scheduler.1.T_max': epochs,
            'default_hooks.checkpoint': dict(interval=epochs, save_best=None),
            'randomness.seed': 0,
            'log_level': 'WARNING',
            **options,
        },
    )
    for loader in (config.train_dataloader, config.val_dataloader):
        for step in loader.dataset.pipeline:
            for key in ('size', 'crop_size'):
                if key in step:
                    step[key] = 32
    return config


def scalars(runner: Runner) -> dict:
    return {name: b.current() for name, b in runner.message_hub.log_scalars.items()}


@pytest.mark.slow
def test_from_class_folders_to_a_detector(tree, tmp_path):
    config = pretraining(tree, tmp_path / 'run', 40, **{'val_dataloader.dataset.split': 'train'})
    check_pretraining(config)
    runner = Runner.from_cfg(config)
    runner.train()
    assert scalars(runner)['val/top1'] >= 95, 'of the training images'
    assert scalars(runner)['train/images_per_s'] > 0
    trained = {k: v.clone() for k, v in runner.model.backbone.state_dict().items()}

    out = tmp_path / 'backbone.pth'
    result = convert_weights(tmp_path / 'run' / 'epoch_40.pth', out, config=DETECTOR)
    assert result.comparison.complete

    detector = load_config(DETECTOR)
    detector.model.backbone.init_cfg = dict(type='PretrainedIfPresent', checkpoint=str(out))
    model = MODELS.build(detector.model)
    model.init_weights()
    state = model.backbone.state_dict()
    assert set(state) == set(trained)
    assert all(state[name].equal(value) for name, value in trained.items())

    detector.dump(tmp_path / 'detector.py')
    meta = dict(dataset_meta=dict(classes=detector.classes))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'detector.pth')
    picture = next(Path(tree).rglob('*.png'))
    found = infer(str(picture), str(tmp_path / 'detector.py'), str(tmp_path / 'detector.pth'), 0.0)
    assert len(found) == 1 and found[0].fault is None

    write_shapes(str(tmp_path / 'shapes'), train=4, val=2, size=64)
    plan = dict(
        title='Chain',
        seeds=[0],
        weights=str(out),
        data=dict(
            root=str(tmp_path / 'shapes'),
            train_ann='annotations/train.json',
            val_ann='annotations/val.json',
        ),
        training=dict(epochs=1, batch_size=2, image_scale=[64, 64], workers=0, val_interval=1),
        rows=[dict(name='ours', label='Pre-trained', config=DETECTOR)],
    )
    (tmp_path / 'plan.yml').write_text(yaml.safe_dump(plan))
    done = reproduce(tmp_path / 'plan.yml', tmp_path / 'plan')
    assert done.returncode == 0, done.stderr[-3000:]
    assert str(out) in next((tmp_path / 'plan' / 'ours').rglob('config.py')).read_text()
    (row,) = [
        line
        for line in (tmp_path / 'plan' / 'table.md').read_text().splitlines()
        if line.startswith('| Pre-trained')
    ][:1]
    assert row.endswith('| 1 |'), 'one seed'
    assert 'Pre-trained' in (tmp_path / 'plan' / 'report.html').read_text()


def short_recipe(tree: str, work_dir, **options) -> Config:
    """The shipped recipe with averaged weights, on images of 32 pixels without mixed precision."""
    config = load_config(
        'epsanet50-s_8xb128-amp-ema_coslr-60e_in1k',
        {
            'data_root': tree,
            'work_dir': str(work_dir),
            'model.num_classes': 10,
            'model.detector': DETECTOR,
            'optim_wrapper.type': 'OptimWrapper',
            'train_cfg': dict(max_epochs=2, val_interval=2),
            'train_dataloader.batch_size': 16,
            'train_dataloader.num_workers': 1,
            'val_dataloader.num_workers': 1,
            'randomness.seed': 0,
            'log_level': 'WARNING',
            **options,
        },
    )
    config.train_dataloader.dataset.pipeline[1].size = 32
    return config


@pytest.mark.slow
@pytest.mark.parametrize('averaged', [False, True])
def test_an_interrupted_training_resumes_to_the_same_weights(averaged, tree, tmp_path):
    options = {'default_hooks.checkpoint': dict(interval=1, save_best=None), **TWO_STAGES}

    def run(name, resume_from=None):
        if averaged:
            config = short_recipe(tree, tmp_path / name, **options)
        else:
            config = pretraining(tree, tmp_path / name, 2, **options)
        config.load_from, config.resume = resume_from, resume_from is not None
        Runner.from_cfg(config).train()
        return torch.load(tmp_path / name / 'epoch_2.pth', weights_only=False)

    whole = run('whole')
    parts = run('parts', resume_from=str(tmp_path / 'whole' / 'epoch_1.pth'))
    assert ('ema_state_dict' in whole) == averaged
    for key in ('state_dict', 'ema_state_dict') if averaged else ('state_dict',):
        assert all(value.equal(whole[key][name]) for name, value in parts[key].items())
    if averaged:
        raw = whole['ema_state_dict']['module.fc.weight']
        assert not raw.equal(whole['state_dict']['fc.weight'])
        weights = read_weights(tmp_path / 'whole' / 'epoch_2.pth')
        assert weights.layout == "mmengine's checkpoint, averaged weights"


@pytest.mark.slow
def test_the_tool_trains_tests_and_resumes(tree, tmp_path):
    config = tmp_path / 'tiny.py'
    pretraining(tree, tmp_path / 'unused', 1, log_level='INFO', **TWO_STAGES).dump(config)

    def run(*arguments):
        return run_tool('pretrain.py', config, *arguments, cwd=tmp_path)

    work_dir = tmp_path / 'run'
    done = run('--work-dir', str(work_dir))
    assert done.returncode == 0, done.stderr[-2000:]
    records = [
        json.loads(line)
        for path in work_dir.glob('*/vis_data/scalars.json')
        for line in path.read_text().splitlines()
    ]
    assert any('top1' in r and 'top5' in r and 'loss' not in r for r in records)
    more = ('--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    done = run('--work-dir', str(work_dir), *more)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_2.pth')

    wrong = run('--cfg-options', 'model.num_classes=7')
    assert wrong.returncode == 1
    assert wrong.stderr.strip().splitlines()[-1].startswith('error: the classifier has 7 classes')


def refused(config: Config) -> str:
    with pytest.raises(UserError) as caught:
        check_pretraining(config)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_the_config_of_a_detector_is_refused():
    message = refused(load_config('mask-rcnn_epsanet50-s_fpn_1x_coco'))
    assert 'mask-rcnn_epsanet50-s_fpn_1x_coco.py' in message and 'epsanet train' in message


def published_recipe(root, **options) -> Config:
    """The published recipe of EPSANet-50 small, for the ten classes of the tree."""
    options = {'model.num_classes': 10, 'train_dataloader.batch_size': 80, **options}
    return load_config('epsanet50-s_8xb32_in1k', {'data_root': str(root), **options})


@pytest.fixture
def copied(tree, tmp_path) -> Path:
    """A copy of the tree: 80 training images in ten classes."""
    return Path(shutil.copytree(tree, tmp_path / 'copied'))


def test_missing_images_are_refused_before_anything_is_built(tmp_path):
    assert 'absent' in refused(published_recipe(tmp_path / 'absent'))


def test_the_same_classes_in_both_splits_pass(copied):
    check_pretraining(published_recipe(copied))


def test_a_class_without_validation_images_is_named(copied):
    lacking = next((copied / 'val').iterdir())
    shutil.move(lacking, copied / 'val' / 'renamed')
    message = refused(published_recipe(copied))
    assert f"train' has 1 classes that '{copied}/val' lacks ({lacking.name})" in message


def test_a_class_without_training_images_is_named(copied):
    shutil.copytree(next((copied / 'val').iterdir()), copied / 'val' / 'yak')
    assert 'lacks (yak)' in refused(published_recipe(copied))


def test_a_head_with_another_number_of_classes_is_refused(tree):
    message = refused(published_recipe(tree, **{'model.num_classes': 1000}))
    assert '1000' in message and 'model.num_classes=10' in message


def test_a_batch_larger_than_the_data_set_is_refused(tree):
    large = {'train_dataloader.batch_size': 128}
    message = refused(published_recipe(tree, **large))
    assert 'has 80 images' in message and 'batch_size=40' in message
    check_pretraining(published_recipe(tree, **large, **{'train_dataloader.drop_last': False}))
