"""A training in which the tiny Mask R-CNN learns its four pictures, to a box AP above 0.5."""

from pathlib import Path

from mmengine.config import Config
from tiny_detector import TinyDetector

ITERATIONS = 60


def tiny_training(detector: TinyDetector, work_dir: Path) -> Config:
    """Return the config of the training, which takes less than a minute."""
    config = Config.fromfile(detector.config)
    for dataset in (config.train_dataloader.dataset, config.test_dataloader.dataset):
        for step in dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (192, 128)
    config.train_dataloader.dataset.pipeline = [
        step for step in config.train_dataloader.dataset.pipeline if step.type != 'RandomFlip'
    ]
    config.merge_from_dict(
        {
            'work_dir': str(work_dir),
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
    return config
