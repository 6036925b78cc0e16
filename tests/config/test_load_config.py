"""Configs by path or bare name, and the data options that reach every data set."""

import pytest

from epsanet_mmdet.config.data import dataset_options
from epsanet_mmdet.config.load import configs_dir, find_config, load_config
from epsanet_mmdet.errors import ConfigError

NAME = 'mask-rcnn_epsanet50-s_fpn_1x_coco'


@pytest.fixture(autouse=True)
def _default_root(monkeypatch):
    monkeypatch.delenv('DATA_ROOT', raising=False)


def error(function, *args) -> str:
    with pytest.raises(ConfigError) as caught:
        function(*args)
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize('name', [NAME, NAME + '.py'])
def test_a_bare_name_finds_the_shipped_config(name):
    assert find_config(name) == str(configs_dir() / 'epsanet' / f'{NAME}.py')


def test_a_path_is_taken_as_it_is(tmp_path):
    path = tmp_path / f'{NAME}.py'
    path.write_text('a = 1')
    assert find_config(str(path)) == str(path)


def test_a_file_here_comes_before_a_shipped_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f'{NAME}.py').write_text('a = 1')
    assert load_config(f'{NAME}.py').a == 1


def test_every_shipped_config_is_found_by_name():
    paths = [p for p in configs_dir().rglob('*.py') if '_base_' not in p.parts]
    assert len({path.stem for path in paths}) == len(paths) >= 20
    assert all(find_config(path.stem) == str(path) for path in paths)


@pytest.mark.parametrize('name', ['mask_rcnn_epsanet50_s_fpn_1x_coco', 'configs/' + NAME[:-2]])
def test_a_misspelt_name_is_told_the_closest(name):
    message = error(find_config, name)
    assert name in message and NAME in message


def test_a_name_close_to_none_is_refused_with_the_known_names():
    assert 'choose one of ' in error(find_config, '@@@@')


@pytest.mark.parametrize(
    'text',
    [
        'a = ',
        'a = {}["key"]',
        'a = 1 + "1"',
        'raise RuntimeError("two\\nlines")',
        "_base_ = './absent.py'",
    ],
)
def test_a_config_that_is_not_valid_is_named(text, tmp_path):
    (tmp_path / 'broken.py').write_text(text)
    assert 'broken.py' in error(load_config, str(tmp_path / 'broken.py'))


def test_data_root_reaches_every_data_set_and_evaluator():
    config = load_config(NAME, {'data_root': '/elsewhere'})
    assert config.data_root == '/elsewhere'
    for section in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert section.dataset.data_root == '/elsewhere/'
    for evaluator in (config.val_evaluator, config.test_evaluator):
        assert evaluator.ann_file == '/elsewhere/annotations/instances_val2017.json'


def test_the_environment_sets_the_data_root_too(monkeypatch):
    monkeypatch.setenv('DATA_ROOT', '/elsewhere')
    assert load_config(NAME).val_evaluator.ann_file.startswith('/elsewhere/annotations')


def test_data_root_reaches_a_wrapped_data_set(tmp_path):
    (tmp_path / 'wrapped.py').write_text(
        "data_root = 'data/coco/'\n"
        'train_dataloader = dict(dataset=dict(type="ConcatDataset", datasets=[\n'
        '    dict(data_root=data_root, ann_file="a.json"), dict(data_root=data_root)]))\n'
    )
    config = load_config(str(tmp_path / 'wrapped.py'), {'data_root': '/elsewhere/'})
    roots = [dataset.data_root for dataset in config.train_dataloader.dataset.datasets]
    assert roots == ['/elsewhere/', '/elsewhere/']


def test_a_data_sets_own_option_wins_over_data_root():
    options = {'data_root': '/elsewhere', 'train_dataloader.dataset.data_root': '/mine/'}
    config = load_config(NAME, options)
    assert config.train_dataloader.dataset.data_root == '/mine/'
    assert config.val_dataloader.dataset.data_root == '/elsewhere/'


def test_skip_bad_images_reaches_every_data_set():
    config = load_config(NAME, {'skip_bad_images': True})
    for section in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert section.dataset.skip_bad_images is True


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


@pytest.mark.parametrize(
    'key', ['model.backbone.depth.x', 'train_dataloader.dataset.pipeline.99.scale']
)
def test_an_override_that_does_not_fit_is_named(key):
    with pytest.raises(ConfigError, match=f"'{key}=1' does not fit mask-rcnn_epsanet50-s") as error:
        load_config('mask-rcnn_epsanet50-s_fpn_1x_coco', {key: 1})
    assert len(str(error.value).splitlines()) == 1


def test_other_options_spread_nothing():
    assert dataset_options(load_config(NAME), {'optim_wrapper.optimizer.lr': 0.01}) == {}
