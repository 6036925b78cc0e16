"""A config is found by path or bare name, and one that is missing or broken is named."""

from functools import partial

import pytest
from one_line import error_line

from epsanet_mmdet.config.load import configs_dir, find_config, load_config
from epsanet_mmdet.errors import ConfigError

NAME = 'mask-rcnn_epsanet50-s_fpn_1x_coco'


error = partial(error_line, ConfigError)


@pytest.mark.parametrize('name', [NAME, NAME + '.py'])
def test_a_bare_name_finds_the_shipped_config(name):
    assert find_config(name) == str(configs_dir() / 'epsanet' / f'{NAME}.py')


def test_an_existing_path_is_returned_unchanged(tmp_path):
    path = tmp_path / f'{NAME}.py'
    path.write_text('a = 1')
    assert find_config(str(path)) == str(path)


def test_a_file_in_the_working_directory_wins_over_a_shipped_config(tmp_path, monkeypatch):
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


def test_a_name_close_to_none_is_refused_with_the_folder_of_the_shipped_configs():
    assert str(configs_dir()) in error(find_config, '@@@@')


def test_a_folder_in_place_of_a_config_is_named(tmp_path):
    assert f"'{tmp_path}' is a folder" in error(find_config, str(tmp_path))


def test_a_file_that_is_no_config_is_named(tmp_path):
    photo = tmp_path / 'photo.jpg'
    photo.write_bytes(b'')
    assert f"'{photo}' is not a config; name a .py" in error(load_config, str(photo))


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


@pytest.mark.parametrize(
    'key', ['model.backbone.depth.x', 'train_dataloader.dataset.pipeline.99.scale']
)
def test_an_override_that_does_not_fit_is_named(key):
    with pytest.raises(ConfigError, match=f"'{key}=1' does not fit mask-rcnn_epsanet50-s") as error:
        load_config(NAME, {key: 1})
    assert len(str(error.value).splitlines()) == 1
