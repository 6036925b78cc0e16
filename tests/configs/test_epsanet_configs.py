"""The EPSANet configs build, have the published sizes, and train on real COCO images."""

import json
import re
from pathlib import Path

import mmdet
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from epsanet_mmdet.config.build import build_without_weights
from epsanet_mmdet.config.data import set_image_scale
from epsanet_mmdet.config.load import configs_dir, load_config
from epsanet_mmdet.layers import PSAModule
from epsanet_mmdet.utils.flops import count_parameters

CONFIGS = sorted(path.stem for path in (configs_dir() / 'epsanet').glob('*.py'))
BACKBONES = ['epsanet50-s', 'epsanet50-l', 'epsanet101-s', 'epsanet101-l']
# From the authors' README: detector, backbone, millions of trainable parameters
PUBLISHED = [
    ('faster-rcnn', 'epsanet50-s', '38.56'),
    ('faster-rcnn', 'epsanet50-l', '43.85'),
    ('mask-rcnn', 'epsanet50-s', '41.20'),
    ('mask-rcnn', 'epsanet50-l', '46.50'),
    ('retinanet', 'epsanet50-s', '34.78'),
    ('retinanet', 'epsanet50-l', '40.07'),
]


@pytest.fixture(autouse=True)
def mmdet_scope(monkeypatch):
    monkeypatch.delenv('DATA_ROOT', raising=False)
    init_default_scope('mmdet')


def trainable(model: nn.Module) -> str:
    return f'{count_parameters(model) / 1e6:.2f}'


def test_there_is_a_config_of_every_detector_with_every_backbone():
    expected = {
        f'{detector}_{backbone}_fpn_1x_coco'
        for detector in ('faster-rcnn', 'mask-rcnn', 'retinanet')
        for backbone in BACKBONES
    }
    expected |= {f'mask-rcnn_{backbone}_fpn_2x_coco' for backbone in BACKBONES}
    assert expected <= set(CONFIGS)
    assert any('scratch' in name for name in CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_builds_what_its_name_says(name):
    match = re.fullmatch(
        r'(?P<detector>faster-rcnn|mask-rcnn|retinanet)_epsanet(?P<depth>50|101)-(?P<arch>s|l)'
        r'(?P<scratch>-scratch)?_fpn(_gn-all)?_(?P<schedule>1x|2x|6x)_coco',
        name,
    )
    assert match, "mmdet's naming: model_backbone_neck_[norm]_schedule_dataset"
    config = load_config(name)
    model = build_without_weights(config.model)

    detectors = {'faster-rcnn': 'FasterRCNN', 'mask-rcnn': 'MaskRCNN', 'retinanet': 'RetinaNet'}
    assert type(model).__name__ == detectors[match['detector']]
    assert model.backbone.depth == int(match['depth'])
    arch = {'s': 'small', 'l': 'large'}[match['arch']]
    assert config.model.backbone.arch == arch
    assert config.train_cfg.max_epochs == {'1x': 12, '2x': 24, '6x': 73}[match['schedule']]
    if match['scratch']:
        assert all(p.requires_grad for p in model.parameters())
        assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
        assert config.model.backbone.init_cfg is None
    else:
        assert model.backbone.frozen_stages == 1
        checkpoint = f'checkpoints/epsanet{match["depth"]}-{match["arch"]}.pth'
        assert config.model.backbone.init_cfg.checkpoint == checkpoint


@pytest.mark.parametrize('detector, backbone, millions', PUBLISHED)
def test_has_the_published_number_of_parameters(detector, backbone, millions):
    config = load_config(f'{detector}_{backbone}_fpn_1x_coco')
    assert trainable(build_without_weights(config.model)) == millions


def test_the_count_is_the_one_that_gives_resnet_50_its_published_number():
    config = Config.fromfile(configs_dir() / '_base_' / 'mask-rcnn_fpn_1x_coco.py')
    assert trainable(build_without_weights(config.model)) == '44.17'


@pytest.mark.parametrize('name', CONFIGS)
def test_a_config_holds_only_what_differs_from_its_base(name):
    text = (configs_dir() / 'epsanet' / f'{name}.py').read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith('#')]
    assert len(lines) <= 12
    assert text.startswith('_base_ = ') or text.startswith('#')


ONE_BACKBONE = [name for name in CONFIGS if 'epsanet50-s_' in name]


def without_scope(value):
    """Drop ``_scope_``, which configs inherited from another package have."""
    if isinstance(value, dict):
        return {k: without_scope(v) for k, v in value.items() if k != '_scope_'}
    return [without_scope(v) for v in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize('name', ONE_BACKBONE)
def test_everything_else_is_the_installed_mmdets(name):
    """Pipelines, batch size, schedule and optimiser equal those of mmdet's config."""
    detector, schedule = name.split('_')[0], name.split('_')[-2]
    mmdets = Config.fromfile(
        Path(mmdet.__file__).parent.joinpath(
            '.mim', 'configs', detector.replace('-', '_'), f'{detector}_r50_fpn_{schedule}_coco.py'
        )
    )
    ours, theirs = without_scope(load_config(name)._cfg_dict), without_scope(mmdets._cfg_dict)
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'auto_scale_lr'):
        assert ours[key] == theirs[key], key
    assert {**ours['model'], 'backbone': 0} == {**theirs['model'], 'backbone': 0}
    for section in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for side in (ours, theirs):
            del side[section]['dataset']['type']
        assert ours[section] == theirs[section], section


@pytest.mark.parametrize('name', ONE_BACKBONE)
def test_runs_from_mmdets_own_tools_and_from_a_moved_data_root(name, monkeypatch):
    config = load_config(name)
    assert 'epsanet_mmdet' in config.custom_imports.imports
    assert config.data_root == 'data/coco/'
    monkeypatch.setenv('DATA_ROOT', '/somewhere/coco')
    config = load_config(name)
    assert config.train_dataloader.dataset.data_root == '/somewhere/coco/'
    assert config.val_evaluator.ann_file.startswith('/somewhere/coco/annotations/')
    assert config.test_evaluator.ann_file.startswith('/somewhere/coco/annotations/')


# Training


def train_one_iteration(name: str, root: Path, scale=None) -> None:
    torch.manual_seed(0)
    config = load_config(name, {'data_root': str(root)})
    loader = config.train_dataloader
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    if scale:
        set_image_scale(config, scale)
    model = build_without_weights(config.model).train()
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    batch = next(iter(Runner.build_dataloader(loader, seed=0)))
    data = model.data_preprocessor(batch, training=True)
    if scale is None:
        assert min(data['inputs'].shape[2:]) >= 800 or max(data['inputs'].shape[2:]) >= 1300

    losses = model(**data, mode='loss')
    loss, logged = model.parse_losses(losses)
    assert all(torch.isfinite(value).all() for value in logged.values()), logged
    assert loss > 0
    optimizer.backward(loss)

    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, PSAModule)]
    assert len(layers) == sum(model.backbone.stage_blocks)
    for layer, module in layers:
        frozen = model.backbone.frozen_stages > 0 and layer.startswith('backbone.layer1.')
        for parameter_name, parameter in module.named_parameters():
            where = f'{layer}.{parameter_name}'
            if frozen:
                assert parameter.grad is None, where
            else:
                assert parameter.grad is not None, where
                assert parameter.grad.isfinite().all(), where
                if 'conv_' in parameter_name:
                    assert parameter.grad.abs().sum() > 0, where
    before = layers[-1][1].conv_4.weight.clone()
    optimizer.step()
    assert not layers[-1][1].conv_4.weight.equal(before)


@pytest.mark.parametrize('detector', ['mask-rcnn', 'faster-rcnn', 'retinanet'])
def test_trains_on_real_images_at_the_configs_own_scale(detector, tiny_coco):
    train_one_iteration(f'{detector}_epsanet50-s_fpn_1x_coco', tiny_coco)


@pytest.mark.parametrize(
    'name',
    [
        'faster-rcnn_epsanet50-l_fpn_1x_coco',
        'retinanet_epsanet50-l_fpn_1x_coco',
        'mask-rcnn_epsanet101-s_fpn_2x_coco',
        'mask-rcnn_epsanet50-l-scratch_fpn_gn-all_6x_coco',
    ],
)
def test_trains_on_real_images_at_a_small_scale(name, tiny_coco):
    train_one_iteration(name, tiny_coco, scale=(256, 160))


def test_the_published_numbers_are_those_of_the_table():
    """The numbers above equal those of the table of published figures, where it is available."""
    table = Path(__file__).parents[2].parent / 'shared' / 'design' / 'published.json'
    if not table.is_file():
        pytest.skip('needs ../shared/design/published.json, which is not here')
    rows = json.loads(table.read_text())['coco_box']
    from_table = {
        (row['detector'], row['backbone'], f'{row["params"]:.2f}')
        for row in rows
        if row['backbone'].startswith('epsanet')
    }
    assert from_table == set(PUBLISHED)
