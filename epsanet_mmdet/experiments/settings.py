"""The config that a variant of a plan is trained with."""

import contextlib
import functools
import math
import os
import os.path as osp
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

from mmengine.config import Config

from ..config.build import start_from_scratch
from ..config.class_heads import find_class_heads
from ..config.data import DATALOADERS, set_image_scale
from ..config.load import load_config, merge_options
from ..config.python_text import check_names
from ..errors import ConfigError, DataError
from ..own_data.findings import Findings
from ..own_data.formats.coco import read_coco
from .plan import SCRATCH, Data, Plan, Training, Variant


def resolve_variant(plan: Plan, variant: Variant, options: Dict[str, Any]) -> Config:
    """Return the config of a variant, without its seed and folder.

    Args:
        plan: The plan.
        variant: One of its variants.
        options: Config values by dotted key, like ``--cfg-options``, which come last.

    Raises:
        ConfigError: If the config cannot be read or the plan's settings do not fit it.
        DataError: If the annotations cannot be read.
    """
    name, data = plan.config_of(variant), plan.data
    root = {'data_root': data.root} if data.root and not data.train_ann else None
    config = load_config(name, root)
    if 'model' not in config or 'backbone' not in config.model:
        raise ConfigError(f"config '{name}' has no model.backbone; name the config of a detector")
    set_data(config, data)
    set_training(config, plan.training)
    weights = plan.weights if variant.weights is None else variant.weights
    if weights == SCRATCH:
        start_from_scratch(config.model.backbone)
    elif weights is not None:
        config.model.backbone.init_cfg = dict(type='PretrainedIfPresent', checkpoint=weights)
    for overrides in (plan.overrides, variant.overrides, options):
        merge_options(config, overrides)
    return config


def set_data(config: Config, data: Data) -> None:
    """Set the paths of a data set in a config, its classes, and the heads' number of classes.

    Raises:
        ConfigError: If the config combines several data sets.
        DataError: If the annotations cannot be read.
    """
    root, classes = data.root or '', data.classes
    if data.train_ann:
        train_ann = osp.join(root, data.train_ann)
        classes = classes or read_classes(train_ann)
        check_names(classes, train_ann, 'categories')
        val = data.val_ann, data.val_images
        test = (data.test_ann, data.test_images) if data.test_ann else val
        stages = dict(train=(data.train_ann, data.train_images), val=val, test=test)
        for stage, (ann_file, images) in stages.items():
            images = find_images(root, ann_file) if images is None else images
            _set_paths(config, stage, root, ann_file, images)
    if classes is not None:
        for section in DATALOADERS:
            if config.get(section):
                config[section].dataset.metainfo = dict(classes=tuple(classes))
        heads = find_class_heads(config.model)
        config.merge_from_dict({f'{head}.num_classes': len(classes) for head in heads})


def _set_paths(config: Config, stage: str, root: str, ann_file: str, images: str) -> None:
    loader, evaluator = config.get(f'{stage}_dataloader'), config.get(f'{stage}_evaluator')
    if loader:
        if 'ann_file' not in loader.dataset:
            raise ConfigError(
                f'{stage}_dataloader does not read a single COCO data set; use another config'
            )
        loader.dataset.data_root, loader.dataset.ann_file = osp.join(root, ''), ann_file
        loader.dataset.data_prefix = dict(img=osp.join(images, ''))
    if evaluator:
        evaluator.ann_file = osp.join(root, ann_file)


def read_classes(ann_file: str) -> Sequence[str]:
    """Return the names of the categories of a COCO file, in its order.

    Raises:
        DataError: If the file does not exist or is not COCO annotations.
    """
    classes, _ = _read_summary(ann_file)
    if classes is None:
        raise DataError(
            f"'{ann_file}' is not COCO annotations, or its categories have no names; check it with "
            'epsanet check'
        )
    return classes


def find_images(root: str, ann_file: str) -> str:
    """Find the folder, relative to a data set's root, of the images that a COCO file names.

    Raises:
        DataError: If the images are in none of the usual folders.
    """
    path = osp.join(root, ann_file)
    _, folder = _read_summary(path)
    if folder is None:
        raise DataError(
            f"the images of '{path}' were not found near it; set --train-images and --val-images "
            '(and --test-images), relative to the root'
        )
    return osp.relpath(folder, root or '.')


def _read_summary(ann_file: str) -> Tuple[Optional[Tuple[str, ...]], Optional[str]]:
    """Return the classes of a COCO file and the folder of its images."""
    if not osp.isfile(ann_file):
        raise DataError(
            f"annotation file '{ann_file}' does not exist; check --data-root, --train-ann and "
            '--val-ann'
        )
    return _cached_summary(ann_file, os.stat(ann_file).st_mtime_ns)


@functools.lru_cache(maxsize=8)  # all variants of a plan read the same files
def _cached_summary(ann_file: str, modified: int) -> Tuple[Optional[Tuple], Optional[str]]:
    classes = folder = None
    for split in read_coco(ann_file, None, Findings()):
        with contextlib.suppress(KeyError, TypeError):
            classes = tuple(map(str, split.classes))
        with contextlib.suppress(KeyError, TypeError):
            if any(osp.isfile(split.path_of(image['file_name'])) for image in split.images):
                folder = split.image_dir
    return classes, folder


def set_training(config: Config, training: Training) -> None:
    """Change the training settings of a config that a plan sets."""
    if training.epochs is not None:
        set_epochs(config, training.epochs)
    if training.val_interval is not None:
        config.train_cfg.val_interval = training.val_interval
    if training.batch_size is not None:
        config.train_dataloader.batch_size = training.batch_size
    if training.auto_scale_lr:
        config.auto_scale_lr.enable = True
    if training.image_scale is not None:
        set_image_scale(config, training.image_scale)
    for section in DATALOADERS:
        if config.get(section) and training.workers is not None:
            config[section].num_workers = training.workers
            config[section].persistent_workers = training.workers > 0


def set_epochs(config: Config, epochs: int) -> None:
    """Stretch or shorten a schedule; the warm-up, which counts iterations, stays.

    Phases that become shorter than half an epoch are left out. Hooks that change the augmentation
    at an epoch do so at the corresponding one.

    Raises:
        ConfigError: If the config does not count epochs.
    """
    loop = config.get('train_cfg', {})
    old = loop.get('max_epochs')
    if not old:
        raise ConfigError('training.epochs needs a config with train_cfg.max_epochs')

    def scaled(count: int) -> int:
        return round(count * epochs / old)

    loop.max_epochs = epochs
    loop.val_interval = min(loop.get('val_interval', 1), epochs)
    if loop.get('dynamic_intervals'):
        loop.dynamic_intervals = [(scaled(begin), n) for begin, n in loop.dynamic_intervals]
    for hook in config.get('custom_hooks') or []:
        for key in ('switch_epoch', 'num_last_epochs'):
            if key in hook:
                hook[key] = max(1, scaled(hook[key]))
    phases = config.get('param_scheduler') or []
    for phase in phases:
        if phase.get('by_epoch', True):
            _scale_phase(phase, scaled)
    if phases:
        config.param_scheduler = [p for p in phases if p.get('end', math.inf) > p.get('begin', 0)]


def _scale_phase(phase: Dict, scaled: Callable[[int], int]) -> None:
    half_cosine = 'end' in phase and phase.get('T_max') == phase['end'] - phase.get('begin', 0)
    for key in ('begin', 'end', 'T_max'):
        if key in phase:
            phase[key] = scaled(phase[key])
    if half_cosine:
        phase['T_max'] = phase['end'] - phase.get('begin', 0)  # all three were rounded
    if 'milestones' in phase:
        phase['milestones'] = [scaled(milestone) for milestone in phase['milestones']]
