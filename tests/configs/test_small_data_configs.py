"""Detectors for small data sets differ between masks and boxes in the mask branch alone."""

import pytest
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from small_data import CLASSES, write_yolo

from epsanet_mmdet.config.build import build_without_weights
from epsanet_mmdet.config.load import configs_dir, load_config
from epsanet_mmdet.experiments.fingerprint import ABSENT, differences, run_settings
from epsanet_mmdet.experiments.plan import Comparison, Data, Plan, Training, Variant
from epsanet_mmdet.experiments.plan_data import convert_data
from epsanet_mmdet.experiments.settings import resolve_variant

BOXES = sorted(path.stem for path in (configs_dir() / 'small_data').glob('faster-rcnn_*.py'))


def masks_of(name: str) -> str:
    return name.replace('faster-rcnn', 'mask-rcnn')


@pytest.mark.parametrize('name', BOXES)
def test_only_the_mask_branch_is_missing(name):
    boxes, masks = load_config(name), load_config(masks_of(name))
    changed = dict((key, new) for key, _, new in differences(*map(run_settings, (masks, boxes))))
    loading = [f'{key}_dataloader.dataset.pipeline' for key in ('train', 'val', 'test')]
    assert changed == {
        'model.type': 'FasterRCNN',
        'model.roi_head.mask_roi_extractor': None,
        'model.roi_head.mask_head': None,
        'model.train_cfg.rcnn.assigner.match_low_quality': False,
        f'{loading[0]}.1.with_mask': ABSENT,
        f'{loading[1]}.2.with_mask': ABSENT,
        f'{loading[2]}.2.with_mask': ABSENT,
        'val_evaluator.metric': 'bbox',
        'test_evaluator.metric': 'bbox',
    }


def test_the_assignment_is_that_of_mmdets_faster_rcnn():
    ours, mmdets = map(load_config, (BOXES[0], 'faster-rcnn_resnet50_fpn_1x_coco'))
    assert ours.model.train_cfg.rcnn.assigner == mmdets.model.train_cfg.rcnn.assigner


def test_boxes_without_masks_train(tmp_path):
    data = convert_data(Data(paths=str(write_yolo(tmp_path / 'yolo'))), tmp_path)
    variant = Variant('faster-rcnn_epsanet50-s_fpn_small-data')
    plan = Plan([Comparison([variant])], data=data, training=Training(image_scale=(96, 72)))
    config = resolve_variant(plan, variant, {})
    init_default_scope('mmdet')
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert dataset.metainfo['classes'] == CLASSES
    model = build_without_weights(config.model).train()
    batch = model.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), training=True)
    losses, _ = model.parse_losses(model(**batch, mode='loss'))
    losses.backward()
    assert losses.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())
