"""What decides a training's outcome, in a form that can be stored and compared."""

import copy
import hashlib
import json
import os
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, Tuple

from mmengine.config import Config
from mmengine.registry import HOOKS

from ..config.data import DATALOADERS, data_paths
from ..datasets.checks import check_annotations, check_paths
from ..datasets.coco_json import load_json
from ..errors import ConfigError, DataError
from ..utils.environment import versions

# What mmengine's Runner trains and tests by; a config's other names are only its own variables.
RUN_KEYS = (
    *('model', 'train_dataloader', 'val_dataloader', 'test_dataloader'),
    *('train_cfg', 'val_cfg', 'test_cfg', 'val_evaluator', 'test_evaluator'),
    *('optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'custom_hooks', 'default_hooks'),
    *('load_from', 'randomness', 'env_cfg'),
)
# Neither changes what is learnt nor what is measured.
IDLE_KEYS = (
    *('default_hooks.logger', 'default_hooks.checkpoint', 'default_hooks.visualization'),
    *('default_hooks.timer', 'test_evaluator.outfile_prefix', 'val_evaluator.outfile_prefix'),
)
CHECKING_HOOKS = ('NumClassCheckHook',)  # mmdet's, which stops a run or lets it pass
LOCATIONS = ('data_root', 'ann_file', 'data_prefix', 'checkpoint', 'load_from')  # hashed instead


def settings_of(config: Config, seed: int, processes: int, data: Dict) -> Dict[str, Any]:
    """Return everything that decides the outcome of a job, as plain JSON values.

    Where files lie does not count, what is in them does.

    Args:
        config: The job's config.
        seed: Its seed.
        processes: How many it trains with.
        data: See :func:`describe_data`.
    """
    weights = {
        place: _identity(path)
        for place, path in (
            ('backbone', (config.model.backbone.get('init_cfg') or {}).get('checkpoint')),
            ('detector', config.get('load_from')),
        )
        if path
    }
    settings = dict(
        config=run_settings(config),
        seed=seed,
        processes=processes,
        data=data,
        weights=weights,
        versions=versions(),
    )
    return json.loads(json.dumps(settings, default=str))


def run_settings(config: Config) -> Dict[str, Any]:
    """Return the parts of a config that a run depends on, without the paths of files."""
    content = {key: copy.deepcopy(config[key]) for key in RUN_KEYS if key in config}
    for key in IDLE_KEYS:
        holder, _, last = key.partition('.')
        (content.get(holder) or {}).pop(last, None)
    return _without_locations(content)


def decisive(settings: Dict[str, Any]) -> Dict[str, Any]:
    """Leave out of stored settings the hooks that guard every run and are no choice of a plan's.

    This package's belong to its version, and mmdet's check alone.
    """
    settings = copy.deepcopy(settings)
    hooks = settings['config'].get('custom_hooks') or []
    settings['config']['custom_hooks'] = [hook for hook in hooks if not _guards(hook)]
    return settings


def _guards(hook: Dict[str, Any]) -> bool:
    kind = HOOKS.get(str(hook.get('type')))
    own = kind is not None and kind.__module__.startswith(f'{__name__.partition(".")[0]}.')
    return own or hook.get('type') in CHECKING_HOOKS


def _without_locations(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_locations(v) for k, v in value.items() if k not in LOCATIONS}
    if isinstance(value, (list, tuple)):
        return [_without_locations(item) for item in value]
    return value


def short_hash(settings: Dict[str, Any]) -> str:
    """Return a short name of settings, equal for equal ones."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(one: Any, other: Any, key: str = '') -> Iterator[Tuple[str, Any, Any]]:
    """Compare nested settings.

    Yields:
        Dotted key and both values of each difference; ``'(absent)'`` where there is none.
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


ABSENT = '(absent)'


def shown(value: Any, limit: int = 60) -> str:
    """Write a value in a message: short, and on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = ' '.join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + '...'


def describe_data(config: Config) -> Dict[str, Dict]:
    """Identify the data sets of a config by their content, and check them on the way.

    Returns:
        Hash of the annotations, and number and bytes of the images, for ``'train'`` and
        ``'test'``.

    Raises:
        ConfigError: If a data set is none of COCO's format.
        DataError: If files are missing, or the categories are not the config's classes.
    """
    found = {}
    for name, section in (('train', DATALOADERS[0]), ('test', DATALOADERS[2])):
        dataset = (config.get(section) or {}).get('dataset', {})
        if 'ann_file' not in dataset or 'img' not in (dataset.get('data_prefix') or {}):
            raise ConfigError(f'{section} is no single COCO data set; plans need one')
        root, ann, images = data_paths(dataset)
        classes = (dataset.get('metainfo') or {}).get('classes')
        key = (ann, images, tuple(classes or ()), bool(dataset.get('class_subset')))
        if key not in _described:
            check_paths(ann, images, root)
            check_annotations(ann, classes or _coco_classes(), key[-1])
            _described[key] = _describe(ann, images)
        found[name] = _described[key]
    return found


_described: Dict[Tuple, Dict] = {}


def _coco_classes() -> Tuple[str, ...]:
    from mmdet.datasets import CocoDataset

    return CocoDataset.METAINFO['classes']


def _describe(ann: str, images: str) -> Dict:
    infos = load_json(ann)['images']
    try:
        names = [info['file_name'] for info in infos]
    except (KeyError, TypeError):
        raise DataError(f"'{ann}' has images without file_name; see tools/check_dataset.py")
    if not names:
        raise DataError(f"'{ann}' has no images; give annotations of some")
    with ThreadPoolExecutor(16) as pool:
        sizes = list(pool.map(_size, [osp.join(images, str(name)) for name in names]))
    missing: List[str] = [name for name, size in zip(names, sizes) if size is None]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} images of '{ann}' are not in '{images}', such as "
            f"'{missing[0]}'; check the folder, or mend the set with tools/check_dataset.py"
        )
    return dict(annotations=_identity(ann), images=len(names), bytes=sum(sizes))


def _size(path: str):
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _identity(path: str) -> str:
    """Return the hash of a file; what is none, a URL, stands for itself."""
    if not osp.isfile(path):
        return path
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
