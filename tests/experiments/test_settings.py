"""The config of a variant has the data, classes, schedule, weights and overrides of its plan."""

import json

import pytest
from small_data import CLASSES, write_coco
from tiny_plan import write_config

from epsanet_mmdet.config.class_heads import find_class_heads
from epsanet_mmdet.errors import ConfigError, DataError
from epsanet_mmdet.experiments.plan import Comparison, Data, Plan, Training, Variant
from epsanet_mmdet.experiments.settings import find_images, resolve_variant

COCO = 'mask-rcnn_epsanet50-s_fpn_1x_coco'


def resolve(config=COCO, options=None, variant=None, **values):
    variant = variant or Variant(config)
    return resolve_variant(Plan([Comparison([variant])], **values), variant, options or {})


@pytest.fixture
def data(tmp_path) -> Data:
    root = write_coco(tmp_path / 'data', train=4, val=2)
    return Data(str(root), 'annotations/train.json', 'annotations/val.json')


def test_a_data_set_reaches_loaders_evaluators_and_heads(data):
    config = resolve(data=data)
    for section, ann in (
        (config.train_dataloader, data.train_ann),
        (config.val_dataloader, data.val_ann),
        (config.test_dataloader, data.val_ann),
    ):
        assert section.dataset.data_root == data.root + '/'
        assert section.dataset.ann_file == ann
        assert section.dataset.data_prefix == dict(img='images/')
        assert section.dataset.metainfo == dict(classes=CLASSES)
    for evaluator in (config.val_evaluator, config.test_evaluator):
        assert evaluator.ann_file == f'{data.root}/{data.val_ann}'
    assert set(find_class_heads(config.model).values()) == {len(CLASSES)}


def test_a_root_alone_keeps_cocos_layout_and_classes():
    config = resolve(data=Data(root='elsewhere'))
    assert config.test_dataloader.dataset.data_root == 'elsewhere/'
    assert config.test_dataloader.dataset.ann_file == 'annotations/instances_val2017.json'
    assert set(find_class_heads(config.model).values()) == {80}


@pytest.mark.parametrize('folder', ['images', 'images/train', 'train'])
def test_images_are_found_in_the_usual_folders(folder, tmp_path):
    write_coco(tmp_path, train=1)
    (tmp_path / 'images').rename(tmp_path / 'moved')
    (tmp_path / folder).parent.mkdir(exist_ok=True)
    (tmp_path / 'moved').rename(tmp_path / folder)
    assert find_images(str(tmp_path), 'annotations/train.json') == folder


def test_images_elsewhere_have_to_be_named(tmp_path):
    write_coco(tmp_path, train=1)
    (tmp_path / 'images').rename(tmp_path / 'elsewhere')
    with pytest.raises(DataError, match='--train-images'):
        find_images(str(tmp_path), 'annotations/train.json')


def test_missing_annotations_are_named():
    with pytest.raises(DataError, match='d/absent.json'):
        resolve(data=Data('d', 'absent.json', 'absent.json'))


def test_categories_without_names_are_refused(data, tmp_path):
    path = tmp_path / 'data' / data.train_ann
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, 'categories': [dict(id=1)]}))
    with pytest.raises(DataError, match='no names'):
        resolve(data=data)


def test_the_schedule_is_stretched_but_the_warm_up_stays():
    config = resolve(training=Training(epochs=24))
    assert config.train_cfg.max_epochs == 24
    warm_up, steps = config.param_scheduler
    assert warm_up.end == 500
    assert (steps.end, steps.milestones) == (24, [16, 22])  # mmdet's own 2x
    cosine = resolve('mask-rcnn_resnet50_fpn_small-data', training=Training(epochs=6))
    assert cosine.param_scheduler[1].T_max == cosine.train_cfg.max_epochs == 6
    assert cosine.train_cfg.val_interval == 6


@pytest.mark.parametrize('epochs', [5, 9, 13, 150])
def test_half_a_cosine_stays_half_a_cosine(epochs):
    config = resolve('rtmdet_tiny-psa_8xb32-300e_coco', training=Training(epochs=epochs))
    cosine = config.param_scheduler[1]
    assert cosine.end == epochs and cosine.T_max == cosine.end - cosine.begin
    (switch,) = [hook for hook in config.custom_hooks if 'switch_epoch' in hook]
    assert switch.switch_epoch == round(280 * epochs / 300)  # mosaic ends
    assert config.train_cfg.dynamic_intervals[0][0] == round(280 * epochs / 300)


def test_phases_that_become_too_short_are_left_out():
    config = resolve('yolox_s-psa_8xb8-300e_coco', training=Training(epochs=12))
    assert all(phase.end > phase.get('begin', 0) for phase in config.param_scheduler)
    assert len(config.param_scheduler) == 2  # without the warm-up of 5 of 300 epochs
    (switch,) = [hook for hook in config.custom_hooks if 'num_last_epochs' in hook]
    assert switch.num_last_epochs == 1


def test_common_training_settings():
    training = Training(batch_size=3, image_scale=(64, 48), workers=0, val_interval=4)
    config = resolve(training=training)
    assert config.train_dataloader.batch_size == 3
    assert config.train_cfg.val_interval == 4
    for section in (config.train_dataloader, config.test_dataloader):
        scales = [t.scale for t in section.dataset.pipeline if t.type == 'Resize']
        assert scales == [(64, 48)]
        assert (section.num_workers, section.persistent_workers) == (0, False)
    assert resolve(training=Training(auto_scale_lr=True)).auto_scale_lr.enable


def test_weights_of_a_variant_take_precedence_over_those_of_the_plan():
    backbone = resolve(weights='scratch').model.backbone
    assert (backbone.init_cfg, backbone.frozen_stages, backbone.norm_eval) == (None, -1, False)
    variant = Variant(COCO, weights='mine.pth')
    init_cfg = resolve(variant=variant, weights='scratch').model.backbone.init_cfg
    assert init_cfg == dict(type='PretrainedIfPresent', checkpoint='mine.pth')
    kept = resolve().model.backbone.init_cfg.checkpoint
    assert kept == 'checkpoints/epsanet50-s.pth'


def test_overrides_apply_in_the_order_plan_variant_command_line():
    variant = Variant(COCO, overrides={'optim_wrapper.optimizer.lr': 2.0, 'log_level': 'variant'})
    overrides = {'optim_wrapper.optimizer.lr': 1.0, 'experiment_name': 'plan'}
    options = {'log_level': 'command line'}
    config = resolve(variant=variant, overrides=overrides, options=options)
    assert config.optim_wrapper.optimizer.lr == 2.0
    assert (config.experiment_name, config.log_level) == ('plan', 'command line')


def test_a_misspelt_override_is_named():
    with pytest.raises(ConfigError, match="'optim_wraper.lr'.*did you mean 'optim_wrapper'"):
        resolve(overrides={'optim_wraper.lr': 1})


@pytest.mark.parametrize(
    'overrides', [{'model.backbone.depth.x': 1}, {'param_scheduler.9.end': 1}], ids=str
)
def test_overrides_that_do_not_fit_are_named(overrides):
    with pytest.raises(ConfigError, match='does not fit ' + COCO):
        resolve(overrides=overrides)


def test_a_config_without_a_detector_is_refused(tmp_path):
    (tmp_path / 'odd.py').write_text('a = 1')
    with pytest.raises(ConfigError, match='odd.py.*detector'):
        resolve(str(tmp_path / 'odd.py'))


def test_combined_data_sets_are_refused(data, tmp_path):
    more = "train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[]))"
    path = write_config(tmp_path, 'several', more=more)
    with pytest.raises(ConfigError, match='not read a single COCO data set'):
        resolve(path, data=data)
