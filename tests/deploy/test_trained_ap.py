"""Deploying a trained detector leaves its COCO AP as it is."""

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.deploy import DeployedPSA
from epsanet_mmdet.models.deployed import deploy

ITERATIONS = 60
METRICS = ('coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP', 'coco/segm_mAP_50')


@pytest.mark.slow
def test_ap_of_a_trained_detector_is_unchanged_by_deploying(tiny_detector, tmp_path):  # noqa: F811
    config = Config.fromfile(tiny_detector.config)
    for dataset in (config.train_dataloader.dataset, config.test_dataloader.dataset):
        for step in dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (192, 128)
    config.train_dataloader.dataset.pipeline = [
        step for step in config.train_dataloader.dataset.pipeline if step.type != 'RandomFlip'
    ]
    config.merge_from_dict(
        {
            'work_dir': str(tmp_path),
            'model.backbone.norm_eval': False,  # batch norms learn, so folding them has an effect
            'model.backbone.norm_cfg.requires_grad': True,
            'model.train_cfg.rcnn.sampler.num': 64,
            'train_dataloader.batch_size': 4,
            'train_dataloader.sampler': dict(type='InfiniteSampler', _delete_=True),
            'train_cfg': dict(
                type='IterBasedTrainLoop', max_iters=ITERATIONS, val_interval=1000, _delete_=True
            ),
            'optim_wrapper': dict(
                type='OptimWrapper',
                optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.0),
                clip_grad=dict(max_norm=10),
                _delete_=True,
            ),
            'param_scheduler': [
                dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
                dict(type='MultiStepLR', by_epoch=False, milestones=[ITERATIONS * 3 // 4]),
            ],
            'default_hooks.checkpoint': dict(type='CheckpointHook', interval=1000),
            'log_processor.by_epoch': False,
            'randomness': dict(seed=0),
        }
    )
    runner = Runner.from_cfg(config)
    runner.train()
    trained = runner.test()
    runner.model = deploy(runner.model)
    assert any(isinstance(module, DeployedPSA) for module in runner.model.modules())
    deployed = runner.test()
    assert trained['coco/bbox_mAP'] > 0.5, 'a low AP would show little'
    for metric in METRICS:
        assert abs(deployed[metric] - trained[metric]) <= 1e-3, metric
