"""The settings that decide the outcome of a job: stored, hashed, and compared."""

import copy
import functools
import hashlib
import json
import os
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from mmdet.datasets import CocoDataset
from mmengine.config import Config

from ..config.build import backbone_checkpoint
from ..config.data import DATALOADERS, data_paths
from ..datasets.checks import check_paths, read_annotations
from ..engine.hooks.guards import GUARDS
from ..errors import ConfigError, DataError
from ..utils.environment import versions
from ..utils.text import printable
from .plan import Comparison

# What mmengine's Runner reads; other names of a config are only its own variables.
RUN_KEYS = (
    *('model', 'train_dataloader', 'val_dataloader', 'test_dataloader'),
    *('train_cfg', 'val_cfg', 'test_cfg', 'val_evaluator', 'test_evaluator'),
    *('optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'custom_hooks', 'default_hooks'),
    *('load_from', 'randomness', 'env_cfg'),
)
# These change neither the training nor the metrics.
IDLE_KEYS = (
    *('default_hooks.logger', 'default_hooks.checkpoint', 'default_hooks.visualization'),
    *('default_hooks.timer', 'test_evaluator.outfile_prefix', 'val_evaluator.outfile_prefix'),
)
LOCATIONS = ('data_root', 'ann_file', 'data_prefix', 'checkpoint', 'load_from')  # hashed instead
COMPARED = ('model.backbone', 'model.neck.in_channels')  # in which variants may differ
ABSENT = '(absent)'


def settings_of(config: Config, seed: int, processes: int, data: Dict) -> Dict[str, Any]:
    """Return everything that decides the outcome of a job, as JSON values.

    The paths of files do not count, but their contents do.

    Args:
        config: The job's config.
        seed: Its seed.
        processes: Number of processes that train.
        data: See :func:`describe_data`.
    """
    weights = dict(
        backbone=backbone_checkpoint(config.model.backbone),
        detector=config.get('load_from'),
    )
    settings = dict(
        config=run_settings(config),
        seed=seed,
        processes=processes,
        data=data,
        weights={place: _file_hash(path) for place, path in weights.items() if path},
        versions=versions(),
    )
    return json.loads(json.dumps(settings, default=str))


def run_settings(config: Config) -> Dict[str, Any]:
    """Return the parts of a config that decide the outcome of a run, without paths of files."""
    content = {key: copy.deepcopy(config[key]) for key in RUN_KEYS if key in config}
    for key in IDLE_KEYS:
        section, _, last = key.partition('.')
        (content.get(section) or {}).pop(last, None)
    return _without_locations(content)


def _without_locations(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_locations(v) for k, v in value.items() if k not in LOCATIONS}
    if isinstance(value, (list, tuple)):
        return [_without_locations(item) for item in value]
    return value


def decisive(settings: Dict[str, Any]) -> Dict[str, Any]:
    """Return settings without those that decide nothing, and may differ between versions.

    They are the hooks that only guard a run, this package's and mmdet's checks, and the base of a
    learning rate that is not scaled.
    """
    config = dict(settings['config'])
    if not (config.get('auto_scale_lr') or {}).get('enable'):
        config.pop('auto_scale_lr', None)
    default, custom = config.get('default_hooks') or {}, config.get('custom_hooks') or []
    config['default_hooks'] = {name: h for name, h in default.items() if not _is_guard(h)}
    config['custom_hooks'] = [hook for hook in custom if not _is_guard(hook)]
    return dict(settings, config=config)


def _is_guard(hook: Optional[Dict[str, Any]]) -> bool:
    return hook is None or hook.get('type') in GUARDS


def short_hash(settings: Dict[str, Any]) -> str:
    """Return the first 12 hex digits of the hash of settings."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(one: Any, other: Any, key: str = '') -> Iterator[Tuple[str, Any, Any]]:
    """Compare nested settings.

    Yields:
        Dotted key and both values of each difference; ``'(absent)'`` stands for a missing value.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(k, one.get(k, ABSENT), other.get(k, ABSENT)) for k in {**one, **other}]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(i, a, b) for i, (a, b) in enumerate(zip(one, other))]
    else:
        if one != other:
            yield key, one, other
        return
    for name, a, b in pairs:
        yield from differences(a, b, f'{key}.{name}' if key else str(name))


def check_equal(comparison: Comparison, configs: Dict[str, Config]) -> List[str]:
    """Check that the variants of a comparison differ only in their backbones.

    Args:
        comparison: The comparison.
        configs: Configs of its variants by name.

    Returns:
        A note for each other difference that the plan allows.

    Raises:
        ConfigError: Naming the first other difference and both values.
    """
    notes: List[str] = []
    settings = {
        variant.name: dict(
            run_settings(configs[variant.name]),
            load_from=_file_hash(configs[variant.name].get('load_from') or ''),
        )
        for variant in comparison.variants
    }
    for variant in comparison.variants:
        for key, base, own in differences(settings[comparison.baseline], settings[variant.name]):
            if _covers(COMPARED, key):
                continue
            if key == 'load_from':  # files that differ in content, by name
                base, own = (
                    configs[n].get('load_from') for n in (comparison.baseline, variant.name)
                )
            values = (
                f'{printable(base)} in {comparison.baseline}, {printable(own)} in {variant.name}'
            )
            if not _covers(comparison.allow, key):
                raise ConfigError(
                    f'variants of one comparison must have equal settings, but {key} is {values}; '
                    f"make them equal, or add '{key}' to the plan's allow to note it in the table"
                )
            notes.append(f'{key} is {values}.')
    return notes


def check_same_data(comparison: Comparison, data: Dict[str, Dict]) -> None:
    """Check that the variants of a comparison train and test on the same data.

    Args:
        comparison: The comparison.
        data: The data of each variant by its name, see :func:`describe_data`.

    Raises:
        ConfigError: Naming a variant whose data are others than those of the baseline.
    """
    for variant in comparison.variants:
        unequal = [key for key, _, _ in differences(data[comparison.baseline], data[variant.name])]
        if unequal:
            raise ConfigError(
                f'variants of one comparison need the same data, but the {unequal[0].split(".")[0]}'
                f' data of {variant.name} are not those of {comparison.baseline}; set data in the '
                'plan, which applies to all variants'
            )


def _covers(allowed: Sequence[str], key: str) -> bool:
    return any(key == name or key.startswith(f'{name}.') for name in allowed)


def describe_data(config: Config) -> Dict[str, Dict]:
    """Check the data sets of a config, and identify them by their content.

    Returns:
        For ``'train'``, ``'test'`` and, where it is another data set, ``'val'`` the hash of the
        annotations, and the number and the bytes of the images.

    Raises:
        ConfigError: If a dataloader does not read a single COCO data set.
        DataError: If files are missing, the categories are not the config's classes, or masks are
            needed and objects have boxes only.
    """
    found = {}
    train, val, test = DATALOADERS
    datasets = {name: (config.get(name) or {}).get('dataset', {}) for name in (train, test, val)}
    if data_paths(datasets[val]) in (data_paths(datasets[test]), data_paths({})):
        del datasets[val]
    for section, dataset in datasets.items():
        if 'ann_file' not in dataset or 'img' not in (dataset.get('data_prefix') or {}):
            raise ConfigError(f'{section} does not read a single COCO data set; plans need one')
        classes = (dataset.get('metainfo') or {}).get('classes') or CocoDataset.METAINFO['classes']
        subset = bool(dataset.get('class_subset'))
        described = _describe(*data_paths(dataset), tuple(classes), subset, _needs_masks(dataset))
        found[section.removesuffix('_dataloader')] = described
    return found


@functools.cache  # all variants of a plan read the same files
def _describe(
    root: str, ann_file: str, images: str, classes: Tuple, subset: bool, masks: bool
) -> Dict:
    check_paths(ann_file, images, root)
    content = read_annotations(ann_file, classes, subset)
    if masks:
        _check_masks(ann_file, content['annotations'])
    try:
        names = [image['file_name'] for image in content['images']]
    except (KeyError, TypeError):
        raise DataError(f"'{ann_file}' has images without file_name; run epsanet check")
    if not names:
        raise DataError(f"'{ann_file}' has no images; use annotations of some")
    with ThreadPoolExecutor(16) as pool:
        sizes = list(pool.map(_size, [osp.join(images, str(name)) for name in names]))
    missing = [name for name, size in zip(names, sizes) if size is None]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} images of '{ann_file}' are not in '{images}', such as "
            f"'{missing[0]}'; check the folder, or fix the data set with epsanet check"
        )
    return dict(annotations=_file_hash(ann_file), images=len(names), bytes=sum(sizes))


def _needs_masks(dataset: Dict) -> bool:
    """Return True if a data set stops at objects without masks."""
    masks = any(step.get('with_mask') for step in dataset.get('pipeline') or ())
    return masks and not dataset.get('skip_bad_images')


def _check_masks(ann_file: str, annotations: List) -> None:
    boxes = sum(isinstance(a, dict) and not a.get('segmentation') for a in annotations)
    if boxes:
        raise DataError(
            f"{boxes} of {len(annotations)} objects of '{ann_file}' have a box and no mask, which "
            'the configs of this plan need; choose a detector of boxes: --detector faster-rcnn'
        )


def _size(path: str) -> Optional[int]:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _file_hash(path: str) -> str:
    """Return the hash of a file; a URL is returned as it is."""
    if not osp.isfile(path):
        return path
    with open(path, 'rb') as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
