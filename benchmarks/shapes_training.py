"""Short trainings of a detector on generated shapes, with a backbone of full width."""

import time
from typing import List, Tuple

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from epsanet_mmdet.config.data import set_image_scale
from epsanet_mmdet.config.load import load_config

CONFIG = 'mask-rcnn_epsanet50-s-slim_fpn_shapes'


def training_config(
    data_root: str, work_dir: str, seed: int, batch_size: int, size: int, learning_rate: float
) -> Config:
    """Give the embedded example's config with the whole EPSANet-50 small, in one epoch.

    Args:
        data_root: As :func:`~epsanet_mmdet.datasets.shapes.write_shapes` writes it.
        work_dir: Folder for logs.
        seed: Of the training.
        batch_size: Images in an iteration.
        size: Height and width of the images, pixels.
        learning_rate: Of AdamW, after a warm-up of 20 iterations.
    """
    config = load_config(CONFIG, dict(data_root=data_root, work_dir=work_dir))
    backbone = config.model.backbone
    backbone.base_channels = 64
    del backbone['groups']
    config.model.neck.in_channels = [256, 512, 1024, 2048]
    config.randomness = dict(seed=seed)
    config.train_dataloader.batch_size = batch_size
    config.train_dataloader.num_workers = 0
    config.train_dataloader.persistent_workers = False
    set_image_scale(config, (size, size))
    config.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
    config.optim_wrapper.optimizer.lr = learning_rate
    config.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20)
    ]
    for name in ('val', 'test'):
        for part in ('cfg', 'dataloader', 'evaluator'):
            config[f'{name}_{part}'] = None
    config.default_hooks.checkpoint = None
    config.custom_hooks = []
    config.log_level = 'WARNING'
    return config


def train(config: Config, name: str) -> Tuple[List[float], nn.Module]:
    """Train, and give the loss of every iteration and the detector."""
    config.experiment_name = config.visualizer.name = (
        f'{name}-{time.time_ns()}'  # unique to mmengine
    )
    runner = Runner.from_cfg(config)
    losses = LossRecord()
    runner.register_hook(losses)
    runner.train()
    return losses.losses, runner.model


@HOOKS.register_module()
class LossRecord(Hook):
    """Keeps the loss of every training iteration in ``losses``."""

    def __init__(self) -> None:
        self.losses: List[float] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.losses.append(outputs['loss'].item())
