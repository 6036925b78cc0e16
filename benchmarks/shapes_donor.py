"""A ResNet-50 that has learned to detect generated shapes: a donor that needs no data."""

from pathlib import Path
from typing import Callable

from shapes_training import train, training_config

from epsanet_mmdet.datasets.shapes import write_shapes
from epsanet_mmdet.utils.storage import save_whole

DATA_SEED = 1000  # so that a transplant is trained on other images than its donor was


def train_donor(
    work_dir: str,
    iterations: int = 2000,
    batch_size: int = 4,
    size: int = 96,
    learning_rate: float = 5e-4,
    seed: int = 0,
    progress: Callable[[str], None] = print,
) -> str:
    """Train Mask R-CNN with ResNet-50 on generated shapes, and keep the backbone.

    Args:
        work_dir: Folder for the images, and for ``donor.pth``.
        iterations: Of the training; every image is seen once.
        batch_size: Images in an iteration.
        size: Height and width of the images, pixels.
        learning_rate: Of AdamW, after a warm-up; it falls to zero along a cosine.
        seed: Of the training.
        progress: Called with a line at the end.

    Returns:
        The checkpoint's path.
    """
    out_file = Path(work_dir) / 'donor.pth'
    data = Path(work_dir) / 'donor-data'
    write_shapes(str(data), train=iterations * batch_size, val=1, size=size, seed=DATA_SEED)
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
    losses, detector = train(config, 'donor')
    weights = {k: v.detach().cpu() for k, v in detector.backbone.state_dict().items()}
    save_whole(weights, out_file)
    progress(f'{out_file}: ResNet-50 from a detector, loss {losses[-1]:.3f} at the end')
    return str(out_file)
