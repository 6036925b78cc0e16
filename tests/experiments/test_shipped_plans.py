"""The shipped plans: their rows compare alike, on real data, and count as published."""

import pytest

from epsanet_mmdet.experiments import prepare_plan
from epsanet_mmdet.experiments.published import published_row


def prepare(name, tmp_path, root, **changes):
    changes = {'data.root': str(root), 'weights': 'scratch', **changes}
    return prepare_plan(name, str(tmp_path / 'work'), changes)


@pytest.mark.parametrize(('name', 'rows'), [('coco-minimal', 2), ('coco-table', 15)])
def test_coco_plans_are_equal_settings_with_the_published_parameters(
    name, rows, tiny_coco, tmp_path
):
    prepared = prepare(name, tmp_path, tiny_coco)
    assert len(prepared.jobs) == rows
    assert not any(prepared.notes.values())
    for row in prepared.plan.rows:
        parameters = published_row(row.published)['params']
        # ECANet's tables count an older head of 81 classes, with 0.004 M more.
        tolerance = 0.0151 if 'ecanet' in row.name else 0.0051
        counted = prepared.costs[row.name].parameters / 1e6
        assert counted == pytest.approx(parameters, abs=tolerance)
    assert prepared.plan.launcher.gpus == 8


def test_small_data_compares_five_backbones_on_any_data_set(penn_fudan, tmp_path):
    changes = {
        'data.train_ann': 'annotations/instances_train.json',
        'data.val_ann': 'annotations/instances_val.json',
    }
    prepared = prepare('small-data', tmp_path, penn_fudan, **changes)
    assert [row.name for row in prepared.plan.rows] == [
        *('resnet50', 'senet50', 'ecanet50', 'epsanet50-s', 'epsanet50-l'),
    ]
    assert not any(prepared.notes.values())
    for config in prepared.configs.values():
        assert config.train_dataloader.dataset.metainfo == dict(classes=('person',))
        assert config.model.backbone.init_cfg is None
    data = prepared.jobs[0].settings['data']
    assert (data['train']['images'], data['test']['images']) == (120, 50)
