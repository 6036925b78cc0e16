"""Short trainings of a detector on generated shapes, with a backbone of full width."""

import time
from pathlib import Path
from typing import Callable, List, Tuple

from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from epsanet_mmdet.config.data import set_image_scale
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.datasets.shapes import write_shapes
from epsanet_mmdet.utils.storage import save_whole

CONFIG = 'mask-rcnn_epsanet50-s-slim_fpn_shapes'
TEACHER_SEED = 1000  # so that a transplant is trained on other images than its teacher


def training_config(
    data_root: str, work_dir: str, seed: int, batch_size: int, size: int, learning_rate: float
) -> Config:
    """Return the config of the demo's detector for one epoch with a full EPSANet-50 small.

    Args:
        data_root: Folder that :func:`~epsanet_mmdet.datasets.shapes.write_shapes` wrote.
        work_dir: Folder for logs.
        seed: Of the training.
        batch_size: Images per iteration.
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
    config.default_hooks = dict(checkpoint=None)
    config.log_level = 'WARNING'
    return config


def train(config: Config, name: str) -> Tuple[List[float], nn.Module]:
    """Train, and return the loss of every iteration and the detector."""
    # mmengine wants a unique name for every run of a process
    config.experiment_name = config.visualizer.name = f'{name}-{time.time_ns()}'
    runner = Runner.from_cfg(config)
    runner.train()
    return runner.message_hub.get_scalar('train/loss').data[0].tolist(), runner.model


def train_teacher(
    work_dir: str,
    iterations: int = 2000,
    batch_size: int = 4,
    size: int = 96,
    learning_rate: float = 5e-4,
    seed: int = 0,
    progress: Callable[[str], None] = print,
) -> str:
    """Train Mask R-CNN with ResNet-50 on generated shapes, and save its backbone.

    Args:
        work_dir: Folder for the images, and for ``donor.pth``.
        iterations: Of the training; every image is seen once.
        batch_size: Images per iteration.
        size: Height and width of the images, pixels.
        learning_rate: Of AdamW, after a warm-up; it decays to zero along a cosine.
        seed: Of the training.
        progress: Called with a line at the end.

    Returns:
        Path of the checkpoint.
    """
    out_file = Path(work_dir) / 'donor.pth'
    data = Path(work_dir) / 'donor-data'
    write_shapes(str(data), train=iterations * batch_size, val=1, size=size, seed=TEACHER_SEED)
    config = training_config(str(data), str(work_dir), seed, batch_size, size, learning_rate)
    backbone = config.model.backbone
    backbone.update(type='ResNet', style='pytorch')
    for name in ('arch', 'groups', 'base_channels'):
        backbone.pop(name, None)
    config.param_scheduler.append(
        dict(type='CosineAnnealingLR', T_max=iterations, eta_min=0.0, by_epoch=False)
    )
    config.default_hooks.logger = dict(type='LoggerHook', interval=100)
    config.log_level = 'INFO'
    losses, detector = train(config, 'teacher')
    save_whole({k: v.detach().cpu() for k, v in detector.backbone.state_dict().items()}, out_file)
    progress(f'{out_file}: ResNet-50 from a detector, loss {losses[-1]:.3f} at the end')
    return str(out_file)
