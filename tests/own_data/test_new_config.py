"""A new config loads, trains on the data it was made for, and explains its settings."""

import json
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from small_data import CLASSES, coco_content, write_coco, write_json, write_voc, write_yolo

from epsanet_mmdet.config.class_heads import find_class_heads
from epsanet_mmdet.engine.mmdet_tools import check_data
from epsanet_mmdet.errors import ArgumentError, ConfigError, DataError
from epsanet_mmdet.own_data.formats.split import Split
from epsanet_mmdet.own_data.new_config import new_config
from epsanet_mmdet.own_data.new_config.planning import Machine, make_plan
from epsanet_mmdet.own_data.new_config.weights import find_weights
from epsanet_mmdet.own_data.new_config.writing import base_reference

CPU, GPU = Machine(0, 2), Machine(24, 8)
MODEL = 'mask-rcnn_epsanet50-s'


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(root, model=MODEL, machine=CPU, **options):
    return new_config([str(root)], model, machine=machine, **options)


def test_both_splits_of_coco_data_are_used_where_they_are(tmp_path):
    path = make(write_coco(tmp_path / 'meine Bälle', 5, 3), out='configs/balls.py')
    config = Config.fromfile(path)
    check_data(config)
    train, val = config.train_dataloader.dataset, config.val_dataloader.dataset
    assert (train.ann_file, val.ann_file) == ('annotations/train.json', 'annotations/val.json')
    assert train.type == val.type == 'CheckedCocoDataset'
    assert train.metainfo.classes == val.metainfo.classes == CLASSES
    assert set(find_class_heads(config.model).values()) == {2}
    assert config.val_evaluator.metric == ['bbox', 'segm']
    assert config.test_dataloader == config.val_dataloader
    assert len(Path(path).read_text(encoding='utf-8').splitlines()) < 110
    assert [file.name for file in Path('configs').iterdir()] == ['balls.py']


@pytest.mark.parametrize('write_data', [write_coco, write_voc], ids=['coco', 'voc'])
def test_a_missing_val_split_is_held_out_the_same_each_time(write_data, tmp_path):
    root = write_data(tmp_path / 'data', 10)
    model = MODEL if write_data is write_coco else 'faster-rcnn_epsanet50-s'
    names = {}
    for name in ('one', 'two'):
        config = Config.fromfile(make(root, model, out=f'{name}.py'))
        check_data(config)
        for role in ('train', 'val'):
            content = json.loads(Path(f'{name}_{role}.json').read_text(encoding='utf-8'))
            names[name, role] = {image['file_name'] for image in content['images']}
            assert len(content['annotations']) == 2 * len(content['images'])
    assert names['one', 'train'] == names['two', 'train']
    assert (len(names['one', 'train']), len(names['one', 'val'])) == (8, 2)
    assert not names['one', 'train'] & names['one', 'val']
    assert 'held out by a hash' in Path('one.py').read_text(encoding='utf-8')


def test_identical_images_stay_in_one_split(tmp_path):
    content = coco_content(tmp_path / 'images', 12)
    for number in range(1, 13, 2):
        source = tmp_path / 'images' / f'im {number}.png'
        (tmp_path / 'images' / f'im {number + 1}.png').write_bytes(source.read_bytes())
    write_json(tmp_path / 'all.json', content)
    make(tmp_path / 'all.json', out='c.py')
    for role in ('train', 'val'):
        images = json.loads(Path(f'c_{role}.json').read_text(encoding='utf-8'))['images']
        pairs = [(image['id'] + 1) // 2 for image in images]
        assert all(pairs.count(pair) == 2 for pair in pairs)


@pytest.mark.parametrize('polygons', [True, False])
def test_polygons_train_masks_and_boxes_do_not(polygons, tmp_path):
    root = write_yolo(tmp_path / 'data', polygons=polygons)
    if not polygons:
        with pytest.raises(DataError, match='--model faster-rcnn_epsanet50-s'):
            make(root)
    config = Config.fromfile(make(root, MODEL if polygons else 'retinanet_epsanet50-s'))
    check_data(config)
    assert config.val_evaluator.metric == (['bbox', 'segm'] if polygons else 'bbox')
    assert config.train_dataloader.dataset.pipeline[1].with_mask is polygons


def test_a_model_whose_mask_head_is_none_trains_boxes(tmp_path):
    root = write_yolo(tmp_path / 'data')
    config = Config.fromfile(make(root, 'faster-rcnn_epsanet50-s_fpn_small-data'))
    assert config.val_evaluator.metric == 'bbox'


@pytest.mark.parametrize('model', ['mask-rcnn', 'faster-rcnn', 'retinanet'])
def test_everything_trains_from_random_weights(model, tmp_path):
    config = Config.fromfile(make(write_coco(tmp_path / 'data', 5, 2), f'{model}_epsanet50-s'))
    register_all_modules()
    detector = MODELS.build(config.model)
    detector.init_weights()
    detector.train()
    assert all(parameter.requires_grad for parameter in detector.parameters())
    assert not [m for m in detector.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert 'random weights' in Path(f'{model}_epsanet50-s_data.py').read_text(encoding='utf-8')


def test_weights_in_checkpoints_are_used(tmp_path):
    root = write_coco(tmp_path / 'data', 5, 2)
    (tmp_path / 'checkpoints').mkdir()
    backbone = tmp_path / 'checkpoints' / 'epsanet50-s.pth'
    backbone.touch()
    config = Config.fromfile(make(root, out='a.py'))
    assert config.model.backbone.init_cfg.checkpoint == str(backbone)
    assert config.model.backbone.frozen_stages == 1
    assert config.optim_wrapper.optimizer.type == 'SGD'
    assert config.optim_wrapper.optimizer.lr == pytest.approx(0.02 * 2 / 16)
    detector = tmp_path / 'checkpoints' / f'{MODEL}_fpn_1x_coco-0123abcd.pth'
    detector.touch()
    config = Config.fromfile(make(root, out='b.py'))
    assert config.load_from == str(detector) and config.model.backbone.init_cfg is None


def split_of(count, size, extent):
    images = [dict(id=i, width=size[0], height=size[1]) for i in range(count)]
    annotations = [dict(bbox=[0, 0, extent, extent]) for _ in range(count)]
    return Split('train', '', 'coco', '', images, annotations, [])


def plan(count, size, extent, machine=GPU):
    return make_plan(split_of(count, size, extent), machine, find_weights(None, 'none'))


def test_the_plan_fits_data_and_machine():
    assert plan(1000, (4000, 3000), 400).scale == (1067, 800)
    assert plan(1000, (640, 480), 100).scale == (640, 480)
    assert plan(1000, (640, 480), 12).scale == (1067, 800)  # small objects are enlarged
    assert plan(1000, (640, 480), 12).small_anchors
    assert plan(1000, (4000, 3000), 400, CPU).scale == (640, 480)
    assert plan(1000, (4000, 3000), 200, CPU).scale == (640, 480)
    assert plan(1000, (2000, 1500), 60, CPU).scale == (1067, 800)  # or objects would vanish
    assert plan(100, (640, 480), 100).epochs > plan(2000, (640, 480), 100).epochs
    assert plan(20000, (640, 480), 100).epochs == 20
    assert plan(1000, (640, 480), 100, CPU).batch == 2
    assert plan(1000, (1333, 800), 100).batch == 4
    assert plan(1000, (1333, 800), 100, Machine(141, 8)).batch == 16
    assert plan(16, (1333, 800), 100, Machine(141, 8)).batch == 2
    assert plan(1, (1333, 800), 100, CPU).batch == 1


def test_data_with_errors_get_no_config(tmp_path):
    root = write_coco(tmp_path / 'data', 5, 2)
    (root / 'images' / 'im 3.png').unlink()
    with pytest.raises(DataError, match=r'errors \(1\).*image 3.*epsanet check.*--fix'):
        make(root)
    assert not list(tmp_path.glob('*.py'))


def test_mistakes_on_the_command_line_are_named(tmp_path):
    root = write_coco(tmp_path / 'data', 5, 2)
    with pytest.raises(ConfigError, match="'epsanet50'.* did you mean .*-rcnn_epsanet50-s'"):
        make(root, 'epsanet50')
    with pytest.raises(ConfigError, match='let it end in .py'):
        make(root, out='shapes.txt')
    make(root)
    with pytest.raises(ConfigError, match='exists'):
        make(root)
    for other in ('rtmdet_tiny-psa_8xb32-300e_coco', 'yolox_s-eca_8xb8-300e_coco'):
        with pytest.raises(ArgumentError, match=f"'{other}' is a (RTMDet|YOLOX); .* by hand: docs"):
            make(root, other)
    with pytest.raises(DataError, match='cannot choose'):
        write_json(tmp_path / 'more' / 'a.json', coco_content(tmp_path / 'more', 3, first=50))
        new_config([str(root), str(tmp_path / 'more')], MODEL, 'b.py')
    with pytest.raises(DataError, match='too few'):
        make(write_coco(tmp_path / 'single', 1))


def test_a_refused_config_leaves_no_files(tmp_path):
    root = write_yolo(tmp_path / 'data')
    (tmp_path / 'mine_val.json').write_text('mine')
    with pytest.raises(ConfigError, match="mine_val.json' exists; name another file"):
        make(root, 'faster-rcnn_epsanet50-s', out='mine.py')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['data', 'mine_val.json']


def test_names_that_look_like_code_stay_names(tmp_path):
    names = ['it\'s "one"', "'); import os; os.abort(); ('", '}} #', 'a\nb = 1']
    content = coco_content(tmp_path / 'images', 5)
    content['categories'] = [dict(id=i, name=name) for i, name in enumerate(names, start=1)]
    folder = tmp_path / 'a\nimport os, b'
    write_json(folder / 'all.json', content)
    config = Config.fromfile(make(folder / 'all.json', images=str(tmp_path / 'images'), out='c.py'))
    assert config.classes == tuple(names)


def test_the_base_is_relative_in_the_source_tree_only():
    base = str(ROOT / 'configs' / 'epsanet' / 'a.py')
    assert base_reference(base, str(ROOT / 'mine' / 'b.py')) == '../configs/epsanet/a.py'
    assert base_reference(base, 'b.py') == base
