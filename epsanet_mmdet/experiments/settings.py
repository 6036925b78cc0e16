"""The config that a row of a plan is trained with."""

import contextlib
import functools
import os
import os.path as osp
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmengine.config import Config

from ..config.class_heads import find_class_heads
from ..config.data import DATALOADERS, set_image_scale
from ..config.load import load_config, merge_options
from ..config.python_text import check_names
from ..datasets.coco_json import load_json
from ..errors import ConfigError, DataError
from .plan import SCRATCH, Data, Plan, Row, Training

EVALUATORS = ('val_evaluator', 'test_evaluator')


def resolve_row(plan: Plan, row: Row, options: Optional[Dict[str, Any]] = None) -> Config:
    """Return the config of a row, without its seed and folder.

    Args:
        plan: The plan.
        row: One of its rows.
        options: Overrides as of ``--cfg-options``, which come last.

    Raises:
        ConfigError: If the config cannot be read or what the plan sets does not fit it.
        DataError: If the annotations that name the classes cannot be read.
    """
    config = load_config(row.config, {'data_root': plan.data.root} if plan.data.root else None)
    if 'model' not in config or 'backbone' not in config.model:
        raise ConfigError(f"config '{row.config}' has no model.backbone; give that of a detector")
    set_data(config, plan.data)
    set_training(config, plan.training)
    weights = plan.weights if row.weights is None else row.weights
    if weights is not None:
        config.model.backbone.init_cfg = (
            None if weights == SCRATCH else dict(type='PretrainedIfPresent', checkpoint=weights)
        )
    for overrides in (plan.overrides, row.overrides, options or {}):
        merge_options(config, overrides)
    return config


def set_data(config: Config, data: Data) -> None:
    """Put a data set into a config: paths, classes, and the heads' number of classes.

    Raises:
        ConfigError: If the config uses several data sets at once.
        DataError: If the annotations cannot be read.
    """
    if not data.train_ann:
        if data.classes is not None:
            _set_classes(config, data.classes)
        return
    root = data.root or ''
    classes = data.classes or read_classes(osp.join(root, data.train_ann))
    check_names(classes, osp.join(root, data.train_ann), 'categories')
    images = {
        ann: given or find_images(root, ann)
        for ann, given in (
            (data.train_ann, data.train_images),
            (data.val_ann, data.val_images),
        )
    }
    for section in DATALOADERS:
        if not config.get(section):
            continue
        ann = data.train_ann if section == 'train_dataloader' else data.val_ann
        dataset = config[section].dataset
        if 'ann_file' not in dataset:
            raise ConfigError(f'{section} is no single COCO data set; take another config')
        dataset.data_root, dataset.ann_file = osp.join(root, ''), ann
        dataset.data_prefix = dict(img=osp.join(images[ann], ''))
    for key in EVALUATORS:
        if config.get(key):
            config[key].ann_file = osp.join(root, data.val_ann)
    _set_classes(config, classes)


def _set_classes(config: Config, classes: Sequence[str]) -> None:
    for section in DATALOADERS:
        if config.get(section):
            config[section].dataset.metainfo = dict(classes=tuple(classes))
    heads = find_class_heads(config.model)
    config.merge_from_dict({f'{head}.num_classes': len(classes) for head in heads})


def read_classes(ann_file: str) -> List[str]:
    """Read the names of a COCO file's categories, in its order.

    Raises:
        DataError: If it does not exist or is not COCO annotations.
    """
    classes, _ = _summary(ann_file)
    if classes is None:
        raise DataError(f"'{ann_file}' is not COCO annotations: its categories have no names")
    return list(classes)


def find_images(root: str, ann: str) -> str:
    """Find the folder, below a data set's root, of the images that a COCO file names.

    Raises:
        DataError: If there is none of the usual ones.
    """
    _, name = _summary(osp.join(root, ann))
    if name is None:
        raise DataError(f"'{osp.join(root, ann)}' is not COCO annotations: it names no images")
    stem = Path(ann).stem
    split = stem.removeprefix('instances_')
    for folder in ('images', f'images/{split}', split, stem, ''):
        if osp.isfile(osp.join(root, folder, name)):
            return folder
    raise DataError(
        f"the images of '{osp.join(root, ann)}', such as '{name}', were not found below '{root}'; "
        'give --train-images and --val-images, relative to the root'
    )


def _summary(ann_file: str) -> Tuple[Optional[Tuple[str, ...]], Optional[str]]:
    """Return the classes, and the name of an image."""
    if not osp.isfile(ann_file):
        raise DataError(f"annotation file '{ann_file}' does not exist; check --data-root and path")
    return _read_summary(ann_file, os.stat(ann_file).st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _read_summary(ann_file: str, _) -> Tuple[Optional[Tuple[str, ...]], Optional[str]]:
    content = load_json(ann_file)
    classes = name = None
    with contextlib.suppress(KeyError, TypeError):
        classes = tuple(str(category['name']) for category in content['categories'])
    with contextlib.suppress(KeyError, TypeError, IndexError):
        name = str(content['images'][0]['file_name'])
    return classes, name


def set_training(config: Config, training: Training) -> None:
    """Change the common settings of a config, where a plan gives them."""
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
    """Stretch or shorten a schedule; what counts iterations, the warm-up, stays.

    Raises:
        ConfigError: If the config counts no epochs.
    """
    old = config.get('train_cfg', {}).get('max_epochs')
    if not old:
        raise ConfigError('training.epochs needs a config with train_cfg.max_epochs')
    config.train_cfg.max_epochs = epochs
    config.train_cfg.val_interval = min(config.train_cfg.get('val_interval', 1), epochs)
    for scheduler in config.get('param_scheduler') or []:
        if scheduler.get('by_epoch', True):
            for key in ('begin', 'end', 'T_max'):
                if key in scheduler:
                    scheduler[key] = round(scheduler[key] * epochs / old)
            if 'milestones' in scheduler:
                scheduler.milestones = [round(m * epochs / old) for m in scheduler.milestones]
