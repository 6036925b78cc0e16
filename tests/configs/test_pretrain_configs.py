"""The pre-training configs have the published recipe and sizes, and the detectors' backbones."""

import functools
import re

import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

import epsanet_mmdet.pretraining  # noqa: F401
from epsanet_mmdet.config.load import configs_dir, load_config
from epsanet_mmdet.utils.flops import count_parameters

FOLDER = configs_dir() / 'pretrain'
CONFIGS = sorted(path.stem for path in FOLDER.glob('*.py'))
RECIPES = ('8xb32_in1k', '8xb128-amp-ema_coslr-60e_in1k')
# Millions of parameters with 1000 classes: the published ones, AFF's with one more digit, or else
# those that the README of the configs explains.
PARAMETERS = {
    'embanet50-s-spc': '16.33',
    'embanet50-l-spc': '24.72',
    'epsanet50-s': '22.56',
    'epsanet50-l': '27.90',
    'epsanet101-s': '38.90',
    'epsanet101-l': '49.59',
    'resnet50': '25.56',
    'senet50': '28.07',
    'ecanet50': '25.56',
    'ecanet101': '44.55',
    'fcanet50': '28.07',
    'fcanet101': '49.29',
    'cbam50': '28.09',
    'bam50': '25.92',
    'gcnet50': '28.08',
    'coordatt50': '27.47',
    'danet50': '50.53',
    'aff-resnet50': '30.37',
    'iaff-resnet50': '35.17',
    'aff-resnext50-32x4d': '29.95',
    'iaff-resnext50-32x4d': '34.75',
    'psa-res2net50': '30.36',
    'sda-resnet86': '27.22',
    'sda-senet86': '49.13',
    'sda-res2net86': '45.25',
    'sda-epsanet86': '39.39',
    'pyconvresnet50': '24.85',
    'sknet50': '27.48',
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.delenv('IMAGENET_ROOT', raising=False)
    init_default_scope('mmdet')


@functools.cache
def config_of(name: str) -> Config:
    return load_config(name)


def test_every_backbone_has_both_recipes():
    assert {f'{name}_{recipe}' for name in PARAMETERS for recipe in RECIPES} <= set(CONFIGS)


def test_every_checkpoint_that_a_detection_config_starts_from_has_both_recipes():
    texts = (path.read_text() for path in configs_dir().glob('[!_]*/*.py'))
    checkpoints = {name for text in texts for name in re.findall(r'checkpoints/(.+)\.pth', text)}
    assert 'epsanet50-s' in checkpoints
    assert {f'{name}_{recipe}' for name in checkpoints for recipe in RECIPES} <= set(CONFIGS)


@pytest.mark.parametrize('name', PARAMETERS)
def test_has_the_published_number_of_parameters(name):
    with torch.device('meta'):
        model = MODELS.build(config_of(f'{name}_8xb32_in1k').model)
    assert f'{count_parameters(model) / 1e6:.2f}' == PARAMETERS[name]
    assert count_parameters(model) == count_parameters(model, trainable_only=False)


def test_readme_and_metafile_have_these_parameters():
    readme, metafile = ((FOLDER / name).read_text() for name in ('README.md', 'metafile.yml'))
    for name, millions in PARAMETERS.items():
        assert f'[{name}_8xb32_in1k](./{name}_8xb32_in1k.py) | {millions} |' in readme
    for model in yaml.safe_load(metafile)['Models']:
        backbone = model['Name'].split('_')[0]
        assert f'{model["Metadata"]["Parameters (M)"]:.2f}' == PARAMETERS[backbone]
        assert model['Metadata']['Epochs'] == config_of(model['Name']).train_cfg.max_epochs


@pytest.mark.parametrize('name', CONFIGS)
def test_trains_the_backbone_that_its_name_says(name):
    config = config_of(name)
    backbone = name.split('_')[0]
    detector, name, rest = config.model.detector.split('_', 2)
    assert (name, rest) == (backbone, 'fpn_1x_coco') and detector in ('mask-rcnn', 'faster-rcnn')
    assert set(config.model.backbone) == {'zero_init_residual'}, "all else is the detector's"


@pytest.mark.parametrize('name', PARAMETERS)
def test_the_detector_starts_from_the_result(name):
    config = config_of(config_of(f'{name}_8xb32_in1k').model.detector)
    torchvisions = name in ('resnet50', 'gcnet50')  # as the published detectors
    expected = 'torchvision://resnet50' if torchvisions else f'checkpoints/{name}.pth'
    assert config.model.backbone.init_cfg.checkpoint == expected


@pytest.mark.parametrize('name', CONFIGS)
def test_the_batch_and_the_epochs_are_those_of_the_name(name):
    config = config_of(name)
    batch = int(re.search(r'xb(\d+)', name).group(1))
    assert config.train_dataloader.batch_size == batch
    epochs = re.search(r'-(\d+)e_', name)
    if epochs:
        assert config.train_cfg.max_epochs == int(epochs.group(1))
    gpus = int(re.search(r'_(\d+)xb', name).group(1))
    if 'in1k' in name:
        assert config.auto_scale_lr.base_batch_size == gpus * batch


@pytest.mark.parametrize('name', ['epsanet50-s_8xb32_in1k', 'resnet50_8xb32_in1k'])
def test_the_published_recipe_is_the_authors(name):
    config = config_of(name)
    assert config.train_cfg.max_epochs == 120
    assert config.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4
    )
    scheduler = config.param_scheduler
    assert scheduler.milestones == [30, 60, 90] and scheduler.gamma == 0.1 and scheduler.by_epoch
    assert config.model.label_smoothing == 0.1
    train, test = (
        {step.type: step for step in loader.dataset.pipeline}
        for loader in (config.train_dataloader, config.val_dataloader)
    )
    assert train['RandomResizedCrop'].size == 224 and train['RandomFlip'].prob == 0.5
    assert test['ResizeShortSide'].size == 256 and test['CenterCrop'].crop_size == 224


@pytest.mark.parametrize('name', CONFIGS)
def test_images_are_normalised_as_in_the_detector(name):
    config = config_of(name)
    theirs = config_of(config.model.detector).model.data_preprocessor
    ours = config.model.data_preprocessor
    assert all(ours[key] == theirs[key] for key in ('mean', 'std', 'bgr_to_rgb'))


@pytest.mark.parametrize('name', [name for name in CONFIGS if 'coslr' in name])
def test_the_short_recipe_computes_less_than_a_third_of_the_published_one(name):
    short, published = config_of(name), config_of(f'{name.split("_")[0]}_8xb32_in1k')

    def work(config):
        size = config.train_dataloader.dataset.pipeline[1].size
        return config.train_cfg.max_epochs * size**2

    assert work(short) < work(published) / 3
    assert short.optim_wrapper.type == 'AmpOptimWrapper'
    assert short.default_hooks.ema.type == 'EMAHook'
    first, second = short.param_scheduler
    assert (first.end, second.type) == (second.begin, 'CosineAnnealingLR')
    assert second.end == short.train_cfg.max_epochs


def test_the_environment_or_the_command_line_sets_the_folder_of_imagenet(monkeypatch):
    monkeypatch.setenv('IMAGENET_ROOT', '/images')
    config = load_config('epsanet50-s_8xb32_in1k')
    assert config.train_dataloader.dataset.data_root == '/images/'
    config = load_config('epsanet50-s_8xb32_in1k', dict(data_root='/elsewhere'))
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert loader.dataset.data_root == '/elsewhere/'
