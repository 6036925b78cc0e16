"""The data sets of a config: their paths, image size and dataloaders."""

import os.path as osp
from typing import Dict, NamedTuple, Sequence, Tuple, Union

from mmengine.config import Config
from mmengine.utils import is_abs

from ..errors import ConfigError

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


class DataPaths(NamedTuple):
    """Paths of a COCO data set.

    Attributes:
        root: ``data_root``, or '' if the config has none.
        ann_file: Annotation file, or '' if the config has none.
        images: Image folder.
    """

    root: str
    ann_file: str
    images: str


def data_paths(dataset: Dict) -> DataPaths:
    """Return the paths that mmengine derives from the config of a data set."""
    root = dataset.get('data_root') or ''
    ann_file = dataset.get('ann_file') or ''
    images = (dataset.get('data_prefix') or {}).get('img') or ''
    if ann_file and not is_abs(ann_file):
        ann_file = osp.join(root, ann_file)
    return DataPaths(root, ann_file, images if is_abs(images) else osp.join(root, images))


def find_datasets(
    config: Union[Config, Dict], sections: Sequence[str] = DATALOADERS
) -> Dict[str, Dict]:
    """Return the data sets of some dataloaders by dotted key.

    In place of wrappers such as ``RepeatDataset`` and ``ConcatDataset``, those inside are returned.
    """
    loaders = {section: config.get(section) for section in sections}
    places = [
        (f'{s}.dataset', loader.get('dataset'))
        for s, loader in loaders.items()
        if isinstance(loader, dict)
    ]
    found = {}
    while places:
        key, dataset = places.pop(0)
        if isinstance(dataset, dict):
            inner = [
                (f'{key}.datasets.{i}', d) for i, d in enumerate(dataset.get('datasets') or ())
            ]
            if 'dataset' in dataset:
                inner.append((f'{key}.dataset', dataset['dataset']))
            if not inner:
                found[key] = dataset
            places = inner + places
    return found


def set_image_scale(config: Config, scale: Tuple[int, int]) -> None:
    """Set the width and height into which every ``Resize`` of a config fits its images."""
    for dataset in find_datasets(config).values():
        for transform in dataset.get('pipeline') or ():
            if transform.get('type') == 'Resize':
                transform['scale'] = tuple(scale)


def dataset_options(config: Config, options: Dict) -> Dict:
    """Expand ``data_root`` and ``skip_bad_images`` to the data sets and evaluators of a config.

    Args:
        config: The config.
        options: Values by dotted key, as for ``--cfg-options``.

    Returns:
        The overrides that the two imply, by dotted key.

    Raises:
        ConfigError: If no data set is in the config's ``data_root``, so that another has no effect.
    """
    expanded = {}
    if 'skip_bad_images' in options:
        for key in find_datasets(config):
            expanded[f'{key}.skip_bad_images'] = options['skip_bad_images']
    if 'data_root' in options:
        old, new = (
            osp.join(root or '', '') for root in (config.get('data_root'), options['data_root'])
        )
        moved: Dict[str, str] = {}
        for section in (*DATALOADERS, 'val_evaluator', 'test_evaluator') if old else ():
            _replace_prefix(config.get(section), old, new, section, moved)
        if not moved and find_datasets(config):
            raise ConfigError(
                'data_root changes nothing: no data set of the config is in its data_root; set '
                'data_root and ann_file of each, such as train_dataloader.dataset.data_root'
            )
        expanded.update(moved)
    return expanded


def idle_worker_options(config: Config) -> Dict:
    """Return overrides for dataloaders whose ``num_workers`` is 0.

    torch refuses ``persistent_workers`` and ``prefetch_factor`` for them.
    """
    options = {}
    for key in DATALOADERS:
        loader = config.get(key) or {}
        if loader.get('num_workers', 0) == 0:
            if loader.get('persistent_workers'):
                options[f'{key}.persistent_workers'] = False
            if loader.get('prefetch_factor') is not None:
                options[f'{key}.prefetch_factor'] = None
    return options


def _replace_prefix(value, old: str, new: str, key: str, replaced: Dict) -> None:
    if isinstance(value, str) and osp.join(value, '').startswith(old):
        replaced[key] = new + value[len(old) :]
    elif isinstance(value, dict):
        for name, item in value.items():
            _replace_prefix(item, old, new, f'{key}.{name}', replaced)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _replace_prefix(item, old, new, f'{key}.{i}', replaced)
