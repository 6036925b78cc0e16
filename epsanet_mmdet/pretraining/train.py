"""Pre-train a classifier with mmdet's ``train.py``, after checks of the config and the images."""

import os.path as osp
from itertools import permutations
from typing import Dict, List

from mmengine.config import Config

from ..engine.mmdet_tools import run_mmdet_tool
from ..errors import ConfigError, DataError
from .image_folder import class_folders, image_paths


def run_pretraining() -> None:
    """Pre-train as the arguments of this process say."""
    run_mmdet_tool('train.py', check_pretraining)


def check_pretraining(config: Config) -> None:
    """Check a config and its image folders before a pre-training starts.

    Raises:
        DataError: If a folder is missing or has no classes, or if the training and validation
            images have different classes.
        ConfigError: If the config trains no classifier or one with another number of classes, or
            if a batch is larger than the data set.
    """
    if (config.get('model') or {}).get('type') != 'ImageClassifier':
        raise ConfigError(
            f"config '{config.filename}' trains no ImageClassifier; name one of configs/pretrain, "
            'or use epsanet train for detectors'
        )
    classes = _class_folders(config)
    if not classes:  # other data sets than ours
        return
    _check_same_classes(classes)
    first, names = next(iter(classes.items()))
    if config.model.num_classes != len(names):
        raise ConfigError(
            f"the classifier has {config.model.num_classes} classes, but '{first}' has "
            f'{len(names)}; set --cfg-options model.num_classes={len(names)}'
        )
    if config.train_dataloader.get('drop_last'):
        _check_one_batch(config.train_dataloader.batch_size, first, names)


def _class_folders(config: Config) -> Dict[str, List[str]]:
    """Return the classes in every :class:`ImageFolder` of a training, by its path."""
    datasets = (
        (config.get(section) or {}).get('dataset') or {}
        for section in ('train_dataloader', 'val_dataloader')
    )
    folders = [osp.join(d.data_root, d.split) for d in datasets if d.get('type') == 'ImageFolder']
    return {folder: class_folders(folder) for folder in folders}


def _check_same_classes(classes: Dict[str, List[str]]) -> None:
    for (folder, names), (other, others) in permutations(classes.items(), 2):
        extra = sorted(set(names) - set(others))
        if extra:
            shown = ', '.join(extra[:5]) + (', ...' if len(extra) > 5 else '')
            raise DataError(
                f"'{folder}' has {len(extra)} classes that '{other}' lacks ({shown}); use the "
                'same class folders in both'
            )


def _check_one_batch(size: int, folder: str, classes: List[str]) -> None:
    images = 0
    for name in classes:  # stops early, as listing all of ImageNet takes long
        images += len(image_paths(osp.join(folder, name)))
        if images >= size:
            return
    raise ConfigError(
        f"'{folder}' has {images} images, fewer than a batch of {size}; set --cfg-options "
        f'train_dataloader.batch_size={max(images // 2, 1)}'
    )
