"""``epsanet browse`` writes one page or picture of what a config's pipeline returns."""

import json
import re
import sys

import cv2
import pytest
from browsing import ANNOTATIONS, IMAGE, PACKED, coco_source, samples_of
from conftest import ROOT
from drawn_page import Drawn, filled
from one_line import error_line
from small_data import CLASSES, write_coco, write_json

from epsanet_cli.main import run
from epsanet_mmdet.errors import ArgumentError, ConfigError, DataError, StorageError
from epsanet_mmdet.own_data.browse import browse
from epsanet_mmdet.own_data.browse.sheet import SIDE
from epsanet_mmdet.own_data.new_config import new_config
from epsanet_mmdet.own_data.new_config.planning import Machine
from epsanet_mmdet.utils.drawing import class_colour

PIPELINE = 'train_dataloader.dataset.pipeline'


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """A config that ``new_config`` has written for six images, of which one is held out."""
    folder = tmp_path_factory.mktemp('browsed')
    data = write_coco(folder / 'data', 6, 3)
    out = str(folder / 'balls.py')
    return new_config([str(data)], 'mask-rcnn_epsanet50-s', out=out, machine=Machine(0, 2))


def page_of(config, folder, **choices):
    path = folder / 'page.html'
    browse(config, str(path), **choices)
    return path.read_text(encoding='utf-8')


def test_the_page_has_the_objects_that_the_pipeline_returns(config, tmp_path):
    pipeline = [IMAGE, ANNOTATIONS, dict(type='RandomCrop', crop_size=(40, 40)), PACKED]
    page = page_of(config, tmp_path, options={PIPELINE: pipeline}, repeats=2)
    source = coco_source(ROOT, pipeline, filter_cfg=dict(filter_empty_gt=True, min_size=32))
    source['data_root'] = re.search(r"data_root = '(.*)'", open(config).read())[1]
    samples = [sample for row in samples_of(source, repeats=2) for sample in row]
    drawn = Drawn(page)
    assert drawn.sizes == [(40, 40)] * len(samples) == [(40, 40)] * 12
    for sample, objects in zip(samples, drawn.objects):
        wanted = {
            (name, *(round(float(v), 1) for v in (x1, y1, x2 - x1, y2 - y1)))
            for name, (x1, y1, x2, y2) in zip(sample.names, sample.boxes)
        }
        assert {(shape['name'], *shape['box']) for shape in objects} == wanted
        for shape in objects:
            mask = sample.masks[sample.names.index(shape['name'])]
            if 'mask' in shape:
                assert (filled(shape['mask'], (40, 40)) == mask).mean() > 0.97
            else:  # a line of pixels has no outline
                assert min(shape['box'][2:]) <= 2
        assert sample.caption in page
    assert len(drawn.images) == 12


@pytest.mark.parametrize('name', ['a.html', 'a.png', 'a.jpg'])
def test_the_same_seed_writes_the_same_file_and_another_seed_another(name, config, tmp_path):
    path = tmp_path / name

    def content(seed):
        assert browse(config, str(path), samples=3, repeats=2, seed=seed) == 3
        return path.read_bytes()

    assert content(0) == content(0) != content(1)


@pytest.mark.parametrize('split, count', [('train', 6), ('val', 3), ('test', 3)])
def test_each_split_is_shown_and_not_more_images_than_it_has(split, count, config, tmp_path):
    page = page_of(config, tmp_path, split=split)
    assert len(Drawn(page).images) == count
    assert f'{count} of {count} images, seed 0' in page


@pytest.mark.parametrize(
    'samples, repeats, rows, columns', [(5, 1, 2, 3), (2, 3, 2, 3), (1, 1, 1, 1)]
)
def test_the_picture_has_a_row_for_each_image_or_is_a_square(
    samples, repeats, rows, columns, config, tmp_path
):
    browse(config, str(tmp_path / 'a.png'), samples=samples, repeats=repeats)
    height, width = cv2.imread(str(tmp_path / 'a.png')).shape[:2]
    assert columns * SIDE < width < columns * (SIDE + 20)
    assert rows * SIDE * 3 / 4 < height < rows * (SIDE * 3 / 4 + 50) + 80


def test_the_picture_shows_boxes_in_the_colours_of_the_classes(config, tmp_path):
    browse(config, str(tmp_path / 'a.png'), samples=1)
    picture = cv2.imread(str(tmp_path / 'a.png'))
    for label in range(len(CLASSES)):
        assert (picture == class_colour(label)).all(-1).sum() > 300


def test_names_of_classes_cannot_change_the_page(tmp_path):
    name = '<script>alert(1)</script>"\x1b[31m'
    path = write_coco(tmp_path / 'data', 2) / 'annotations' / 'train.json'
    content = json.loads(path.read_text(encoding='utf-8'))
    content['categories'][0]['name'] = name
    write_json(path, content)
    source = coco_source(tmp_path / 'data', [IMAGE, ANNOTATIONS, PACKED])
    source['metainfo'] = dict(classes=(name, CLASSES[1]))
    config = tmp_path / 'hostile.py'
    config.write_text(f'train_dataloader = dict(dataset={source!r})\n', encoding='utf-8')
    page = page_of(str(config), tmp_path)
    assert page.count('<script') == 1 and '&lt;script&gt;' in page
    assert {shape['name'] for objects in Drawn(page).objects for shape in objects} == {
        name,
        CLASSES[1],
    }
    assert browse(str(config), str(tmp_path / 'a.png')) == 2


@pytest.mark.parametrize(
    'choices, kind, reason',
    [
        (dict(samples=0), ArgumentError, 'at least 1'),
        (dict(repeats=-1), ArgumentError, 'repeats=-1'),
        (dict(seed=-1), ArgumentError, 'seed=-1'),
        (dict(out='page.gif'), ArgumentError, "'page.gif' is neither"),
        (dict(out='page'), ArgumentError, "'page' is neither"),
        (dict(options={PIPELINE: [IMAGE, PACKED]}), ConfigError, 'loads no boxes'),
        (dict(options={'data_root': 'nowhere'}), DataError, "'nowhere/' does not exist"),
        (dict(options={'train_dataloader.dataset.pipelin': []}), ConfigError, "'pipeline'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    choices, kind, reason, config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert reason in error_line(kind, browse, config, **choices)
    assert list(tmp_path.iterdir()) == []


def test_configs_without_detection_data_are_an_error(tmp_path):
    out = str(tmp_path / 'a.html')
    (tmp_path / 'model.py').write_text("model = dict(type='MaskRCNN')\n")
    line = error_line(ConfigError, browse, str(tmp_path / 'model.py'), out)
    assert 'has no train_dataloader' in line
    assert 'there is no config' in error_line(ConfigError, browse, 'nothing', out)


def test_a_file_that_cannot_be_written_is_an_error_before_the_work(config, tmp_path):
    (tmp_path / 'file').touch()
    out = str(tmp_path / 'file' / 'a.html')
    assert 'a file is in the place' in error_line(StorageError, browse, config, out)


def test_the_command_prints_what_it_wrote(config, tmp_path, monkeypatch, capsys):
    out = str(tmp_path / 'a.html')
    monkeypatch.setattr(
        sys, 'argv', ['epsanet browse', config, '--out', out, '--split', 'val',
                      '--cfg-options', 'val_dataloader.dataset.indices=2'],
    )  # fmt: skip
    run('browse')
    streams = capsys.readouterr()
    assert streams.out.splitlines()[-1] == f'wrote {out} with 2 images'
    assert '2/2' in streams.err
    assert len(Drawn((tmp_path / 'a.html').read_text()).images) == 2
