"""The networks that EPSANet is compared with train, and have the published sizes."""

import functools
from pathlib import Path

import pytest
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from epsanet_mmdet.config.build import build_without_weights
from epsanet_mmdet.config.data import set_image_scale
from epsanet_mmdet.config.load import configs_dir, load_config
from epsanet_mmdet.utils.flops import count_parameters

FOLDERS = (
    *('resnet', 'senet', 'ecanet', 'fcanet', 'cbam', 'bam', 'gcnet', 'danet', 'coordatt'),
    *('aff', 'psa', 'sdanet', 'embanet', 'epsanet/ablation', 'pyconv', 'sknet'),
)
CONFIGS = sorted(
    path.stem for folder in FOLDERS for path in (configs_dir() / folder).glob('*_1x_coco.py')
)

# Trainable parameters in millions, first stage frozen, 80 classes. Published, but for ECA-Net's
# Mask R-CNN, which has 81-class heads: the next test has those figures.
PARAMETERS = {
    'faster-rcnn_resnet50_fpn_1x_coco': '41.53',
    'faster-rcnn_senet50_fpn_1x_coco': '44.02',
    'faster-rcnn_ecanet50_fpn_1x_coco': '41.53',
    'faster-rcnn_ecanet101_fpn_1x_coco': '60.52',
    'faster-rcnn_fcanet50_fpn_1x_coco': '44.02',
    'mask-rcnn_resnet50_fpn_1x_coco': '44.17',
    'mask-rcnn_senet50_fpn_1x_coco': '46.66',
    'mask-rcnn_ecanet50_fpn_1x_coco': '44.17',
    'mask-rcnn_fcanet50_fpn_1x_coco': '46.66',
    'retinanet_ecanet50_fpn_1x_coco': '37.74',
    'retinanet_ecanet101_fpn_1x_coco': '56.74',
    'faster-rcnn_sda-resnet86_fpn_1x_coco': '43.11',
    'faster-rcnn_sda-senet86_fpn_1x_coco': '64.81',
    'faster-rcnn_sda-res2net86_fpn_1x_coco': '60.98',
    'mask-rcnn_sda-resnet86_fpn_1x_coco': '45.75',
    'mask-rcnn_sda-senet86_fpn_1x_coco': '67.46',
    'mask-rcnn_sda-res2net86_fpn_1x_coco': '63.62',
    # PSA dropped into these is EPSANet-50 small and large.
    'mask-rcnn_psa-resnet50_fpn_1x_coco': '41.20',
    'mask-rcnn_psa-resnext50-32x4d_fpn_1x_coco': '46.50',
}


@functools.lru_cache(maxsize=2)
def images(data_root: Path, with_mask: bool):
    """Two real images at a reduced scale, as a batch for training."""
    config = load_config(f'{"mask" if with_mask else "faster"}-rcnn_resnet50_fpn_1x_coco')
    cfg = config.train_dataloader.dataset
    cfg.data_root = f'{data_root}/'
    set_image_scale(config, (160, 112))
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg)
    return pseudo_collate([dataset[0], dataset[1]])


@pytest.mark.parametrize('name', CONFIGS)
def test_one_training_step_on_real_images(name, tiny_coco):
    config = load_config(name)
    with_mask = name.startswith('mask')
    if 'rcnn' in name:
        # The heads would take most of the time, and are mmdet's own.
        config.model.train_cfg.rcnn.sampler.num = 16
        config.model.train_cfg.rpn_proposal.max_per_img = 32
    model = build_without_weights(config.model).train()
    data = model.data_preprocessor(images(tiny_coco, with_mask), training=True)
    losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize('name', PARAMETERS)
def test_has_the_published_parameters(name):
    assert (
        f'{count_parameters(build_without_weights(load_config(name).model)) / 1e6:.2f}'
        == PARAMETERS[name]
    )


@pytest.mark.parametrize('depth, millions', [(50, '44.18'), (101, '63.17')])
def test_ecanet_with_81_classes_has_the_published_parameters(depth, millions):
    # Its README counts the background among the classes of box regression (4 * 1025) and masks.
    model = build_without_weights(load_config(f'mask-rcnn_ecanet{depth}_fpn_1x_coco').model)
    assert f'{(count_parameters(model) + 4100 + 257) / 1e6:.2f}' == millions


@pytest.mark.parametrize(
    'folder, theirs',
    [
        ('fcanet', ['learning rate 0.01', 'freezes no stage', '1 image on each of 8 GPUs']),
        ('ecanet', ['learning rate 0.01', 'k3377', 'kernels 3, 3, 7, 7 and 5', '8 images']),
    ],
)
def test_published_ap_of_another_recipe_names_it(folder, theirs):
    results = (configs_dir() / folder / 'README.md').read_text().split('## Results')[1]
    for fact in ('of another recipe', '1x schedule', *theirs):
        assert fact in results
    metafile = (configs_dir() / folder / 'metafile.yml').read_text()
    assert '0.01' in metafile and "mmdet's 1x schedule" in metafile
    for path in (configs_dir() / folder).glob('*-rcnn_*.py'):  # what is said of ours
        config = load_config(path.stem)
        assert config.optim_wrapper.optimizer.lr == 0.02
        assert config.train_dataloader.batch_size == 2
        assert config.model.backbone.frozen_stages == 1
        assert config.model.backbone.norm_cfg.requires_grad


def test_published_top1_of_another_recipe_names_it():
    text = (configs_dir() / 'pretrain' / 'README.md').read_text()
    (line,) = [
        p for p in text.split('\n\n') if p.startswith('The figures of ECANet-50 and FcaNet-50')
    ]
    assert 'other recipes' in line and '100 epochs' in line
    assert 'AFF' in line and '240 epochs' in line
    for name in ('ecanet50_8xb32_in1k', 'fcanet50_8xb32_in1k', 'aff-resnet50_8xb32_in1k'):
        assert load_config(name).train_cfg.max_epochs == 120


def test_every_config_names_the_file_of_its_backbone_weights():
    for name in CONFIGS:
        init = load_config(name).model.backbone.init_cfg
        if init.type == 'Pretrained':
            assert 'resnet50' in name or 'gcnet50' in name
            assert init.checkpoint == 'torchvision://resnet50'
        else:
            assert init.type == 'PretrainedIfPresent'
            assert init.checkpoint.startswith('checkpoints/')


@pytest.mark.parametrize('folder', FOLDERS)
def test_folder_has_readme_and_metafile_that_name_its_configs(folder):
    path = configs_dir() / folder
    readme, metafile = (path / 'README.md').read_text(), (path / 'metafile.yml').read_text()
    for config in path.glob('*.py'):
        assert config.name in readme
        assert f'configs/{folder}/{config.name}' in metafile
