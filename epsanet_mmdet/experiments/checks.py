"""What is checked before the first job starts, so that no hours are lost."""

import copy
import os.path as osp
import shutil
import warnings
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from ..checkpoint.weight_files import check_checkpoint_path
from ..config.build import build_without_weights
from ..config.class_heads import check_class_heads
from ..config.data import DATALOADERS
from ..engine.disk_space import checkpoint_bytes
from ..errors import CheckpointError, ConfigError, DataError, UserError
from ..utils.flops import count_flops, count_parameters
from .job import Job
from .plan import Launcher

FLOPS_SIZE = (3, 800, 1280)  # the published tables'


class RowCosts(NamedTuple):
    """Costs of a row.

    Attributes:
        parameters: Trainable ones of the detector.
        flops: Of backbone and neck for one image of 3x800x1280, as the published tables count.
        checkpoint: Bytes of a training's checkpoint.
    """

    parameters: int
    flops: int
    checkpoint: int


def row_costs(config: Config) -> RowCosts:
    """Build a row's detector without memory for it, and count.

    Raises:
        ConfigError: If it cannot be built; it names why.
    """
    try:
        with torch.device('meta'), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            detector = build_without_weights(config.model)
            network = nn.Sequential(detector.backbone, detector.neck)
            flops = count_flops(network, FLOPS_SIZE).detection
    except Exception as error:  # whatever wrong options lead to inside mmdet
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise ConfigError(f'the model of {_name(config)} cannot be built: {reason}')
    optimizer = config.optim_wrapper.get('optimizer', {}).get('type', 'AdamW')
    return RowCosts(count_parameters(detector), flops, checkpoint_bytes(detector, optimizer))


def check_row(config: Config) -> None:
    """Check that a row's model fits its data, and can be tested as plans test.

    Raises:
        ConfigError: Naming what does not fit.
    """
    evaluator = config.get('test_evaluator') or {}
    if not isinstance(evaluator, dict) or evaluator.get('type') != 'CocoMetric':
        raise ConfigError(f'{_name(config)} does not test by CocoMetric alone; plans need that')
    for section in DATALOADERS:
        check_class_heads(config.model, (config.get(section) or {}).get('dataset', {}))


def check_weights(config: Config) -> None:
    """Load a row's starting weights once, as its jobs will.

    Raises:
        CheckpointError: If they do not exist, are damaged, or of another architecture.
    """
    if config.get('load_from'):
        check_checkpoint_path(config.load_from)
    given = config.model.backbone.get('init_cfg') or {}
    path = given.get('checkpoint') if isinstance(given, dict) else None
    if not path:
        return
    if '://' not in path and not osp.isfile(path):
        raise CheckpointError(
            f"the backbone weights '{path}' of {_name(config)} do not exist; put them there, name "
            "others as the row's weights, or set weights: scratch to train from random ones"
        )
    backbone = copy.deepcopy(config.model.backbone)
    backbone.init_cfg.type = 'PretrainedIfPresent'  # which refuses another architecture
    init_default_scope('mmdet')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            MODELS.build(backbone).init_weights()
    except UserError as error:
        raise CheckpointError(f"the backbone weights '{path}' of {_name(config)}: {error}")
    except Exception as error:  # downloads and damaged files fail in many ways
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise CheckpointError(
            f"the backbone weights '{path}' of {_name(config)} cannot be loaded ({reason}); "
            "name others as the row's weights"
        )


def check_disk(work_dir: Path, jobs: Sequence[Job], costs: Dict[str, RowCosts]) -> None:
    """Check that the checkpoints of all jobs fit on the disk.

    Raises:
        DataError: If not, or if the folder cannot be written; it names how much is missing.
    """
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        probe = work_dir / '.writable'
        probe.write_text('yes')
        probe.unlink()
        free = shutil.disk_usage(work_dir).free
    except OSError as error:
        raise DataError(f"folder '{work_dir}' cannot be written: {error.strerror}; set --work-dir")
    needed = disk_needed(jobs, costs)
    if needed > free:
        raise DataError(
            f"'{work_dir}' has {_gigabytes(free)} free, but the checkpoints of {len(jobs)} jobs "
            f'need about {_gigabytes(needed)}; free some, or give another --work-dir'
        )


def disk_needed(jobs: Sequence[Job], costs: Dict[str, RowCosts]) -> int:
    """Estimate the bytes that jobs will write: their checkpoints."""
    total = 0
    for job in jobs:
        there: List[int] = [p.stat().st_size for p in (job.folder / 'train').glob('*.pth')]
        total += max(0, _kept(job.config) * costs[job.row.name].checkpoint - sum(there))
    return total


def _kept(config: Config) -> int:
    hook = config.get('default_hooks', {}).get('checkpoint') or {}
    kept, interval = hook.get('max_keep_ckpts', -1), max(1, hook.get('interval', 1))
    if kept < 1:
        kept = max(1, config.train_cfg.get('max_epochs', interval) // interval)
    return kept + 1


def check_launcher(launcher: Launcher) -> None:
    """Check that what starts the jobs is there.

    Raises:
        ConfigError: If Slurm's commands are missing, or this machine lacks GPUs.
    """
    if launcher.type == 'slurm':
        for command in ('sbatch', 'squeue'):
            if shutil.which(command) is None:
                raise ConfigError(
                    f"the plan's launcher is slurm, but there is no '{command}' here; start it on "
                    'a machine of the cluster, or give --launcher none or pytorch'
                )
    if launcher.type == 'pytorch' and torch.cuda.is_available():
        if launcher.gpus > torch.cuda.device_count():
            raise ConfigError(
                f'the plan wants {launcher.gpus} GPUs, but this machine has '
                f'{torch.cuda.device_count()}; give --gpus, with --auto-scale-lr if they are fewer'
            )


def _name(config: Config) -> str:
    return f"config '{osp.basename(config.filename or 'config')}'"


def _gigabytes(count: int) -> str:
    return f'{count / 1e9:.1f} GB'
