"""Finding and loading configs."""

import difflib
import os
import os.path as osp
import textwrap
from pathlib import Path
from typing import Dict, Optional

from mmengine.config import Config, ConfigDict

from .errors import ConfigError
from .pure_data import load_pure_config

PURE_DATA_VARIABLE = 'PURE_DATA_CONFIGS'
DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def configs_dir() -> Path:
    """Give the folder of the shipped configs, in a source tree or an installed wheel."""
    package = Path(__file__).parent
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def find_config(name: str) -> str:
    """Find a config by its path, or a shipped one by its bare name.

    Raises:
        ConfigError: If there is none; it names the closest ones.
    """
    if osp.isfile(name):
        return name
    shipped = {
        path.stem: path
        for path in sorted(configs_dir().rglob('*.py'))
        if '_base_' not in path.parts
    }
    stem = name[:-3] if name.endswith('.py') else name
    if stem in shipped:
        return str(shipped[stem])
    close = difflib.get_close_matches(osp.basename(stem), shipped, n=3, cutoff=0.3)
    raise ConfigError(
        f"there is no config '{name}', neither as a file nor by name; "
        f'close to it are: {", ".join(close) or "none"}'
    )


def load_config(
    name: str, options: Optional[Dict] = None, data_only: Optional[bool] = None
) -> Config:
    """Load a config by path or bare name.

    A config is Python and runs code, unless it is loaded as pure data.

    Args:
        name: Path, or bare name such as ``mask-rcnn_epsanet50-s_fpn_1x_coco``.
        options: Overrides as of ``--cfg-options``. ``data_root`` and ``skip_bad_images`` reach
            every data set of the config.
        data_only: Refuse what would run code, see :mod:`epsanet_mmdet.pure_data`; if not given,
            do so where the environment variable ``PURE_DATA_CONFIGS`` is 1.

    Raises:
        ConfigError: If there is no such config, it cannot be read, or is no pure data.
    """
    path = find_config(name)
    config = load_pure_config(path) if _wants_pure_data(data_only) else _run_config(path)
    if options:
        for key, value in {**dataset_options(config, options), **options}.items():
            _override(config, key, value)
    return config


def _override(config: Config, key: str, value) -> None:
    try:
        config.merge_from_dict({key: value})
    except (AssertionError, AttributeError, KeyError, TypeError) as error:
        name = osp.basename(config.filename)
        reason = textwrap.shorten(str(error), 150, placeholder=' ...')
        raise ConfigError(f"'{key}={value}' does not fit {name}: {reason}") from error


def _wants_pure_data(data_only: Optional[bool]) -> bool:
    if data_only is not None:
        return data_only
    setting = os.environ.get(PURE_DATA_VARIABLE, '0')
    if setting not in ('0', '1'):  # whoever asks for safety must not miss it by a word
        raise ConfigError(f"{PURE_DATA_VARIABLE} is '{setting}'; set it to 1 or 0")
    return setting == '1'


def _run_config(path: str) -> Config:
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is Python, so anything
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise ConfigError(f"config '{path}' cannot be read: {reason}") from error


def dataset_options(config: Config, options: Dict) -> Dict:
    """Spread ``data_root`` and ``skip_bad_images`` of ``--cfg-options`` over the data sets.

    Returns:
        The overrides that these two stand for, as of ``--cfg-options``.
    """
    spread = {}
    if 'skip_bad_images' in options:
        for section in DATALOADERS:
            for key in inner_datasets((config.get(section) or {}).get('dataset')):
                spread[f'{section}.dataset{key}.skip_bad_images'] = options['skip_bad_images']
    if 'data_root' in options and config.get('data_root'):
        old, new = config.data_root, osp.join(options['data_root'], '')
        for section in (*DATALOADERS, 'val_evaluator', 'test_evaluator'):
            _replace_prefix(config.get(section), old, new, section, spread)
    return spread


def inner_datasets(dataset: Optional[Dict]) -> Dict[str, Dict]:
    """Find the data sets that wrappers such as ``RepeatDataset`` and ``ConcatDataset`` read.

    Args:
        dataset: Config of a data set, wrapped or not.

    Returns:
        Configs of those that wrap no other, each by where it stands, such as ``.datasets.1``.
    """
    if not isinstance(dataset, dict):
        return {}
    inner = {f'.datasets.{i}': item for i, item in enumerate(dataset.get('datasets') or ())}
    if 'dataset' in dataset:
        inner['.dataset'] = dataset['dataset']
    if not inner:
        return {'': dataset}
    return {
        place + key: found
        for place, item in inner.items()
        for key, found in inner_datasets(item).items()
    }


def _replace_prefix(value, old: str, new: str, key: str, spread: Dict) -> None:
    if isinstance(value, str) and value.startswith(old):
        spread[key] = new + value[len(old) :]
    elif isinstance(value, (ConfigDict, dict)):
        for name, item in value.items():
            _replace_prefix(item, old, new, f'{key}.{name}', spread)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _replace_prefix(item, old, new, f'{key}.{i}', spread)
