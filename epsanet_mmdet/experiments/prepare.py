"""Preparing a plan: everything is read and checked before the first job starts."""

import copy
import os.path as osp
import shutil
import warnings
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from msgspec.structs import replace
from torch import nn

from ..checkpoint.weight_files import check_checkpoint_path
from ..config.build import backbone_checkpoint, build_without_weights
from ..config.class_heads import check_class_heads
from ..config.data import DATALOADERS
from ..config.python_text import check_names
from ..engine.disk_space import checkpoint_bytes
from ..engine.runner import only_warnings
from ..errors import CheckpointError, ConfigError, DataError, UserError
from ..utils.flops import count_flops, count_parameters
from ..utils.storage import check_file_writable
from .fingerprint import check_equal, check_same_data, describe_data, settings_of
from .job import Job
from .plan import Launcher, Plan, Variant
from .plan_data import convert_data
from .plan_file import read_plan
from .settings import resolve_variant

FLOPS_SIZE = (3, 800, 1280)  # as in the published tables
KEPT_CHECKPOINTS = {'default_hooks.checkpoint.max_keep_ckpts': 2}


class Costs(NamedTuple):
    """Costs of a variant.

    Attributes:
        parameters: Trainable parameters of the detector.
        flops: FLOPs of backbone and neck for a 3x800x1280 image, as in the published tables.
        checkpoint: Bytes of a training checkpoint.
    """

    parameters: int
    flops: int
    checkpoint: int


class PreparedPlan:
    """A plan with its configs, costs and jobs, checked and ready to run.

    Args:
        plan: The plan.
        work_dir: Output folder.
        options: Values of every config by dotted key, like ``--cfg-options``.

    Raises:
        UserError: One line that names what is wrong; nothing was written but the annotations of
            ``plan.data.paths``.
    """

    def __init__(
        self, plan: Plan, work_dir: Path, options: Optional[Dict[str, Any]] = None
    ) -> None:
        check_names(str(work_dir.absolute()), '--work-dir')
        plan = replace(plan, data=convert_data(plan.data, work_dir / 'annotations'))
        self.plan, self.work_dir = plan, work_dir
        self.configs: Dict[str, Config] = {}
        for variant in plan.variants:
            config = resolve_variant(plan, variant, {**KEPT_CHECKPOINTS, **(options or {})})
            check_config(config)
            self.configs[variant.name] = config
        self.notes = [check_equal(c, self.configs) for c in plan.comparisons]
        self.costs = {name: count_costs(config) for name, config in self.configs.items()}
        self.jobs = [self._job(variant, seed) for seed in plan.seeds for variant in plan.variants]
        data = {job.variant.name: job.settings['data'] for job in self.jobs}
        for comparison in plan.comparisons:
            check_same_data(comparison, data)
        for job in self.jobs:
            job.check_settings()

    def _job(self, variant: Variant, seed: int) -> Job:
        config = Config(self.configs[variant.name].to_dict())
        data = describe_data(config)
        config.randomness = {**(config.get('randomness') or {}), 'seed': seed}
        settings = settings_of(config, seed, self.plan.launcher.gpus, data)
        return Job(variant, seed, self.work_dir / variant.name / f'seed{seed}', config, settings)

    @property
    def pending(self) -> List[Job]:
        """The jobs without a result."""
        return [job for job in self.jobs if job.result is None]

    def check_start(self) -> None:
        """Check what only pending jobs need: launcher, weights and disk space.

        Raises:
            UserError: One line that names what is missing.
        """
        pending = self.pending
        if not pending:
            return
        check_launcher(self.plan.launcher)
        for name in dict.fromkeys(job.variant.name for job in pending):
            check_weights(self.configs[name])
        check_disk(self.work_dir, pending, self.costs)


def prepare_plan(
    name: str,
    work_dir: Optional[str] = None,
    changes: Optional[Dict[str, Any]] = None,
    options: Optional[Dict[str, Any]] = None,
    only: Optional[Sequence[str]] = None,
) -> PreparedPlan:
    """Read and check a plan.

    Args:
        name: Path, or bare name of a shipped plan.
        work_dir: Output folder. Default: ``work_dirs/`` and the name of the plan.
        changes: Values by dotted key, such as ``data.root``, that replace those of the file.
        options: Values of every config by dotted key, like ``--cfg-options``.
        only: Names of the variants to keep. Default: all.

    Raises:
        UserError: One line that names what is wrong, and the remedy.
    """
    plan = read_plan(name, changes)
    if only:
        plan.keep(only)
    return PreparedPlan(plan, Path(work_dir or f'work_dirs/{plan.name}'), options)


def check_config(config: Config) -> None:
    """Check that a config tests with CocoMetric and that its model fits its data.

    Raises:
        ConfigError: Naming what does not fit.
    """
    evaluator = config.get('test_evaluator') or {}
    if not isinstance(evaluator, dict) or evaluator.get('type') != 'CocoMetric':
        raise ConfigError(
            f'{_name(config)} does not test with CocoMetric alone, which plans need; set '
            'test_evaluator'
        )
    for section in DATALOADERS:
        check_class_heads(config.model, (config.get(section) or {}).get('dataset', {}))


def count_costs(config: Config) -> Costs:
    """Count the costs of a config's detector, which is built without memory for its weights.

    Raises:
        ConfigError: If the detector cannot be built, with the reason.
    """
    try:
        with torch.device('meta'), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            detector = build_without_weights(config.model)
            network = nn.Sequential(detector.backbone, detector.neck)
            flops = count_flops(network, FLOPS_SIZE).detection
    except Exception as error:  # mmdet raises anything on wrong options
        raise ConfigError(f'the model of {_name(config)} cannot be built: {_reason(error)}')
    optimizer = config.optim_wrapper.get('optimizer', {}).get('type', 'AdamW')
    return Costs(count_parameters(detector), flops, checkpoint_bytes(detector, optimizer))


def check_weights(config: Config) -> None:
    """Load the weights that a config starts from, as its jobs will.

    Raises:
        CheckpointError: If they do not exist, are damaged, or are of another architecture.
    """
    if config.get('load_from'):
        check_checkpoint_path(config.load_from)
    path = backbone_checkpoint(config.model.backbone)
    if not path:
        return
    weights = f"the backbone weights '{path}' of {_name(config)}"
    if '://' not in path and not osp.isfile(path):
        raise CheckpointError(
            f'{weights} do not exist; put them there, set weights of the variant to another file, '
            'or set weights: scratch to train from random weights'
        )
    backbone = copy.deepcopy(config.model.backbone)
    backbone.init_cfg.type = 'PretrainedIfPresent'  # which refuses another architecture
    init_default_scope('mmdet')
    try:
        # mmengine logs a line per parameter
        with warnings.catch_warnings(), only_warnings(MMLogger.get_current_instance()):
            warnings.simplefilter('ignore')
            MODELS.build(backbone).init_weights()
    except UserError as error:
        raise CheckpointError(f'{weights}: {error}')
    except Exception as error:  # downloads and damaged files fail in many ways
        raise CheckpointError(
            f'{weights} cannot be loaded ({_reason(error)}); set weights of the variant to '
            'another file'
        )


def check_launcher(launcher: Launcher) -> None:
    """Check that this machine has Slurm or the GPUs that the launcher needs.

    Raises:
        ConfigError: Naming what is missing.
    """
    if launcher.type == 'slurm':
        for command in ('sbatch', 'squeue'):
            if shutil.which(command) is None:
                raise ConfigError(
                    f"the plan's launcher is slurm, but there is no '{command}' here; start it on "
                    'a machine of the cluster, or use --launcher none or pytorch'
                )
    if launcher.type == 'pytorch' and torch.cuda.is_available():
        if launcher.gpus > torch.cuda.device_count():
            raise ConfigError(
                f'the plan wants {launcher.gpus} GPUs, but this machine has '
                f'{torch.cuda.device_count()}; set --gpus, with --auto-scale-lr if they are fewer'
            )


def check_disk(work_dir: Path, jobs: Sequence[Job], costs: Dict[str, Costs]) -> None:
    """Check that the output folder can be written and has room for the jobs' checkpoints.

    Raises:
        StorageError: If the folder cannot be written.
        DataError: If there is not enough room; it names how much is missing.
    """
    check_file_writable(work_dir / 'table.json')
    free, needed = shutil.disk_usage(work_dir).free, disk_needed(jobs, costs)
    if needed > free:
        raise DataError(
            f"'{work_dir}' has {free / 1e9:.1f} GB free, but the checkpoints of {len(jobs)} jobs "
            f'need about {needed / 1e9:.1f} GB; free some, or set another --work-dir'
        )


def disk_needed(jobs: Sequence[Job], costs: Dict[str, Costs]) -> int:
    """Estimate the bytes that the checkpoints of jobs will still take."""
    total = 0
    for job in jobs:
        hook = job.config.get('default_hooks', {}).get('checkpoint') or {}
        kept, interval = hook.get('max_keep_ckpts', -1), max(1, hook.get('interval', 1))
        if kept < 1:
            kept = max(1, job.config.train_cfg.get('max_epochs', interval) // interval)
        there = sum(path.stat().st_size for path in (job.folder / 'train').glob('*.pth'))
        total += max(0, (kept + 1) * costs[job.variant.name].checkpoint - there)
    return total


def _name(config: Config) -> str:
    return f"config '{osp.basename(config.filename or 'config')}'"


def _reason(error: Exception) -> str:
    return f'{type(error).__name__}: {error}'.splitlines()[0]
