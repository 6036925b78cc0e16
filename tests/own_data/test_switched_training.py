"""Configs with switches train, and a resumed training ends with the same weights."""

import shutil

import pytest
import torch
from mmengine.config import Config
from small_data import write_coco

from epsanet_mmdet.engine.runner import BriefRunner
from epsanet_mmdet.own_data.new_config import Switches, new_config
from epsanet_mmdet.own_data.new_config.planning import Machine

LOADER = dict(num_workers=0, persistent_workers=False)
SLIM = {  # a detector and a schedule of seconds
    'model.backbone.base_channels': 16,
    'model.backbone.groups': (1, 2, 4, 4),
    'model.backbone.norm_cfg.num_groups': 4,
    'model.neck.in_channels': [64, 128, 256, 512],
    'model.train_cfg.rpn_proposal.max_per_img': 50,
    'model.train_cfg.rcnn.sampler.num': 16,
    'model.test_cfg.rpn.max_per_img': 20,
    'model.test_cfg.rcnn.max_per_img': 5,
    'train_dataloader': LOADER,
    'val_dataloader': LOADER,
    'train_cfg': dict(max_epochs=2, val_interval=1),
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.visualization': None,
    'randomness': dict(seed=3),
}


def train(path, work_dir, **options):
    config = Config.fromfile(path)
    config.merge_from_dict({**SLIM, 'work_dir': str(work_dir), **options})
    config.experiment_name = config.visualizer.name = f'{work_dir.parent.name}_{work_dir.name}'
    runner = BriefRunner.from_cfg(config)
    runner.train()
    return runner


@pytest.mark.slow
@pytest.mark.parametrize(
    'choices',
    [
        dict(augment=['mosaic', 'colour'], ema=True, accumulate=2),
        dict(augment=['copy-paste', 'scale-jitter'], balance_classes=True, early_stopping=2),
    ],
    ids=['mosaic', 'copy-paste'],
)
def test_a_resumed_training_ends_with_the_same_weights(choices, tmp_path):
    root = write_coco(tmp_path / 'data', 6, 1)  # three batches, so accumulation crosses an epoch
    path = str(tmp_path / 'mine.py')
    new_config(
        [str(root)],
        'mask-rcnn_epsanet50-s',
        path,
        machine=Machine(0, 2),
        switches=Switches(**choices),
    )
    whole = train(path, tmp_path / 'whole')
    first = tmp_path / 'first.pth'
    shutil.copy(tmp_path / 'whole' / 'epoch_1.pth', first)
    resumed = train(path, tmp_path / 'resumed', resume=True, load_from=str(first))
    assert whole.epoch == resumed.epoch == 2
    one, two = (
        torch.load(tmp_path / name / 'epoch_2.pth', weights_only=False)
        for name in ('whole', 'resumed')
    )
    assert ('ema_state_dict' in one) == ('ema' in choices)
    start = torch.load(first, weights_only=False)
    assert ('gradients' in start) == ('accumulate' in choices)
    for part in {'state_dict', 'ema_state_dict'} & set(one):
        assert all(value.equal(two[part][name]) for name, value in one[part].items())
        assert not all(value.equal(start[part][name]) for name, value in one[part].items())
