"""The data sets of a config are found, moved and resized wherever they stand in it."""

import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config

from epsanet_mmdet.config.data import data_paths, dataset_options, set_image_scale
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.errors import ConfigError

NAME = 'mask-rcnn_epsanet50-s_fpn_1x_coco'
SECTIONS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@pytest.fixture(autouse=True)
def _default_root(monkeypatch):
    monkeypatch.delenv('DATA_ROOT', raising=False)


@pytest.mark.parametrize('root', [None, '', 'data/coco', '/data/coco/'])
@pytest.mark.parametrize('ann_file', ['', 'a.json', 'annotations/a.json', '/elsewhere/a.json'])
@pytest.mark.parametrize('images', ['', 'train2017/', '/elsewhere/images', 's3://other/images'])
def test_paths_are_those_that_mmengine_reads(root, ann_file, images):
    settings = dict(data_root=root, ann_file=ann_file, data_prefix=dict(img=images))
    dataset = CocoDataset(**settings, lazy_init=True)
    paths = data_paths(settings)
    assert paths.root == (root or '')
    assert paths.ann_file == dataset.ann_file
    assert paths.images == dataset.data_prefix['img']


def test_paths_that_a_config_lacks_are_empty():
    assert data_paths(dict(type='ImageFolder')) == ('', '', '')


def test_data_root_reaches_every_data_set_and_evaluator():
    config = load_config(NAME, {'data_root': '/elsewhere'})
    assert config.data_root == '/elsewhere'
    for section in SECTIONS:
        assert config[section].dataset.data_root == '/elsewhere/'
    for evaluator in (config.val_evaluator, config.test_evaluator):
        assert evaluator.ann_file == '/elsewhere/annotations/instances_val2017.json'


def test_the_environment_sets_the_data_root_too(monkeypatch):
    monkeypatch.setenv('DATA_ROOT', '/elsewhere')
    assert load_config(NAME).val_evaluator.ann_file.startswith('/elsewhere/annotations')


@pytest.mark.parametrize(
    ('root', 'second', 'new', 'moved'),
    [
        ('data/coco/', 'data/coco/', '/elsewhere/', '/elsewhere/'),
        ('data/coco', 'data/coco2', '/elsewhere', 'data/coco2'),  # another folder
    ],
)
def test_data_root_reaches_the_data_sets_inside_a_wrapper(root, second, new, moved, tmp_path):
    (tmp_path / 'wrapped.py').write_text(
        f'data_root = {root!r}\n'
        'train_dataloader = dict(dataset=dict(type="ConcatDataset", datasets=[\n'
        f'    dict(data_root=data_root, ann_file="a.json"), dict(data_root={second!r})]))\n'
    )
    config = load_config(str(tmp_path / 'wrapped.py'), {'data_root': new})
    roots = [dataset.data_root for dataset in config.train_dataloader.dataset.datasets]
    assert roots == ['/elsewhere/', moved]


@pytest.mark.parametrize('root', ['', "data_root = 'data/coco/'\n"])
def test_a_data_root_that_changes_nothing_is_an_error(root, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        f"{root}test_dataloader = dict(dataset=dict(data_root='mine/', ann_file='a'))\n"
    )
    with pytest.raises(ConfigError, match='data_root changes nothing'):
        load_config(str(path), {'data_root': '/elsewhere'})


def test_a_data_sets_own_option_wins_over_data_root():
    options = {'data_root': '/elsewhere', 'train_dataloader.dataset.data_root': '/mine/'}
    config = load_config(NAME, options)
    assert config.train_dataloader.dataset.data_root == '/mine/'
    assert config.val_dataloader.dataset.data_root == '/elsewhere/'


def test_skip_bad_images_reaches_every_data_set():
    config = load_config(NAME, {'skip_bad_images': True})
    for section in SECTIONS:
        assert config[section].dataset.skip_bad_images is True


def test_skip_bad_images_reaches_data_sets_inside_wrappers(tmp_path):
    (tmp_path / 'wrapped.py').write_text(
        "plain = dict(type='CheckedCocoDataset', ann_file='a.json')\n"
        "twice = dict(type='RepeatDataset', times=2, dataset=plain)\n"
        "both = dict(type='ConcatDataset', datasets=[twice, plain])\n"
        'train_dataloader = dict(dataset=both)\n'
        'val_dataloader = dict(dataset=plain)\n'
        'test_dataloader = None\n'
    )
    options = dataset_options(load_config(str(tmp_path / 'wrapped.py')), {'skip_bad_images': True})
    assert options == {
        'train_dataloader.dataset.datasets.0.dataset.skip_bad_images': True,
        'train_dataloader.dataset.datasets.1.skip_bad_images': True,
        'val_dataloader.dataset.skip_bad_images': True,
    }


def test_other_options_imply_nothing():
    assert dataset_options(load_config(NAME), {'optim_wrapper.optimizer.lr': 0.01}) == {}


@pytest.mark.parametrize('section', SECTIONS)
def test_options_of_workers_are_off_for_a_loader_without_workers(section):
    config = load_config(NAME, {f'{section}.num_workers': 0, f'{section}.prefetch_factor': 2})
    assert config[section].persistent_workers is False
    assert config[section].prefetch_factor is None
    assert all(config[other].persistent_workers for other in set(SECTIONS) - {section})


def test_the_image_scale_reaches_every_resize():
    resize = dict(type='Resize', scale=(1333, 800), keep_ratio=True)
    plain = dict(pipeline=[dict(type='LoadImageFromFile'), resize])
    config = Config(
        dict(
            train_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=plain)),
            val_dataloader=dict(dataset=plain),
            test_dataloader=None,
        )
    )
    set_image_scale(config, [640, 480])
    for dataset in (config.train_dataloader.dataset.dataset, config.val_dataloader.dataset):
        assert dataset.pipeline == [plain['pipeline'][0], {**resize, 'scale': (640, 480)}]
