"""RTMDet and YOLOX with attention are mmdet's but for the backbone, and train on real images."""

import re
from pathlib import Path

import mmdet
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from epsanet_mmdet.config.build import build_without_weights
from epsanet_mmdet.config.data import find_datasets
from epsanet_mmdet.config.load import configs_dir, load_config
from epsanet_mmdet.layers import ECALayer2d, PSAModule
from epsanet_mmdet.utils.flops import count_parameters

MMDETS = {
    'rtmdet_tiny': 'rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'yolox_s': 'yolox/yolox_s_8xb8-300e_coco.py',
}
LAYERS = {'eca': ECALayer2d, 'psa': PSAModule}
CONFIGS = sorted(
    path.stem
    for path in configs_dir().glob('[!_]*/*_coco.py')
    if path.stem.startswith(tuple(MMDETS))
)
# What is added to mmdet's 4,896,168 and 8,968,255 parameters: kernels of ECA of 3, 3, 3 and 5 in
# four blocks, and 3, 3, 3, 3, 5, 5, 5 and 5 in eight; PSA has fewer than dense convolutions.
ADDED = {
    'rtmdet_tiny-eca_8xb32-300e_coco': 14,
    'yolox_s-eca_8xb8-300e_coco': 32,
    'rtmdet_tiny-psa_8xb32-300e_coco': -83_988,
    'yolox_s-psa_8xb8-300e_coco': -303_466,
}


@pytest.fixture(autouse=True)
def mmdet_scope(monkeypatch):
    monkeypatch.delenv('DATA_ROOT', raising=False)
    init_default_scope('mmdet')


def mmdets(name: str) -> Config:
    path = MMDETS[name.split('-')[0]]
    return Config.fromfile(Path(mmdet.__file__).parent / '.mim' / 'configs' / path)


def without_scope(value):
    if isinstance(value, dict):
        return {k: without_scope(v) for k, v in value.items() if k != '_scope_'}
    return [without_scope(v) for v in value] if isinstance(value, (list, tuple)) else value


def test_both_detectors_have_both_layers():
    assert CONFIGS == sorted(ADDED)


@pytest.mark.parametrize('name', CONFIGS)
def test_everything_but_the_backbone_is_mmdets(name):
    ours, theirs = without_scope(load_config(name).to_dict()), without_scope(mmdets(name).to_dict())
    backbone = ours['model']['backbone']
    (plugin,) = backbone.pop('plugins')
    base = {'type': backbone.pop('base'), **{k: v for k, v in backbone.items() if k != 'type'}}
    assert plugin['cfg'] in (dict(type='ECALayer2d'), dict(type='PSAConv2d'))
    assert {**ours['model'], 'backbone': base} == theirs['model']
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'custom_hooks'):
        assert ours[key] == theirs[key], key
    gpus, images = map(int, re.search(r'_(\d+)xb(\d+)-', name).groups())
    assert ours['auto_scale_lr']['base_batch_size'] == gpus * images
    for section in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for side in (ours, theirs):
            (dataset,) = find_datasets(side, [section]).values()
            dataset.pop('type'), dataset.pop('data_root')
        assert ours[section] == theirs[section], section


@pytest.mark.parametrize('name', CONFIGS)
def test_hooks_and_data_are_those_of_our_other_configs(name, monkeypatch):
    runtime = Config.fromfile(configs_dir() / '_base_' / 'default_runtime.py')
    monkeypatch.setenv('DATA_ROOT', '/somewhere/coco')
    config = load_config(name)
    for key, hook in runtime.default_hooks.items():
        assert config.default_hooks[key].type == hook.type
    assert config.default_hooks.checkpoint.interval == 10, "mmdet's"
    assert config.custom_imports == runtime.custom_imports
    for dataset in find_datasets(config).values():
        assert (dataset.type, dataset.data_root) == ('CheckedCocoDataset', '/somewhere/coco/')
    assert config.val_evaluator.ann_file.startswith('/somewhere/coco/annotations/')


@pytest.mark.parametrize('name', CONFIGS)
def test_parameters(name):
    base = count_parameters(build_without_weights(mmdets(name).model))
    assert base == (4_896_168 if 'rtmdet' in name else 8_968_255)
    total = count_parameters(build_without_weights(load_config(name).model))
    assert total - base == ADDED[name]
    readme = next(configs_dir().glob(f'*/{name}.py')).with_name('README.md').read_text()
    assert f'({name}.py) | {total / 1e6:.2f} |' in readme


@pytest.mark.parametrize('name', CONFIGS)
def test_trains_on_real_images_at_its_own_scale(name, tiny_coco):
    config = load_config(name, {'data_root': str(tiny_coco)})
    loader = config.train_dataloader
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    model = build_without_weights(config.model).train()
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    batch = next(iter(Runner.build_dataloader(loader, seed=0)))
    MessageHub.get_current_instance().update_info('iter', 0)  # YOLOX resizes every tenth batch
    data = model.data_preprocessor(batch, training=True)
    assert min(data['inputs'].shape[2:]) >= 640
    loss, logged = model.parse_losses(model(**data, mode='loss'))
    assert all(torch.isfinite(value).all() for value in logged.values()), logged
    kind = LAYERS[name.split('_')[1].split('-')[1]]
    layers = [m for m in model.backbone.modules() if isinstance(m, kind)]
    parameters = [p for layer in layers for p in layer.parameters()]
    before = [p.clone() for p in parameters]
    optimizer.backward(loss)
    assert layers and all(p.grad is not None and p.grad.isfinite().all() for p in parameters)
    optimizer.step()
    assert any(not a.equal(b) for a, b in zip(parameters, before))
