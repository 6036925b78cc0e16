"""Finding and loading configs."""

import os.path as osp
import textwrap
from pathlib import Path
from typing import Dict, Optional

from mmengine.config import Config

from ..errors import ConfigError
from ..utils.text import suggestion
from .data import dataset_options, idle_worker_options
from .options import check_options
from .python_text import check_names


def configs_dir() -> Path:
    """Return the folder of the shipped configs, in a source tree or an installed wheel."""
    package = Path(__file__).parent.parent
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
    raise ConfigError(
        f"there is no config '{name}', neither as a file nor by name; "
        f'{suggestion(osp.basename(stem), shipped, most=3)}'
    )


def load_config(name: str, options: Optional[Dict] = None) -> Config:
    """Load a config by path or bare name. A config is a program: loading it runs its code.

    Args:
        name: Path, or bare name such as ``mask-rcnn_epsanet50-s_fpn_1x_coco``.
        options: Overrides as of ``--cfg-options``, see :func:`merge_options`.

    Raises:
        ConfigError: If there is no such config, it cannot be read, nothing reads one of the
            options, or it has a name that mmengine's dump of it would not keep.
    """
    config = read_config(find_config(name))
    merge_options(config, options or {})
    return config


def merge_options(config: Config, options: Dict) -> Dict:
    """Merge overrides into a config.

    Args:
        config: Changed in place.
        options: Overrides as of ``--cfg-options``. ``data_root`` and ``skip_bad_images`` reach
            every data set of the config.

    Returns:
        The overrides that were merged besides, under which mmdet's own tools get the same config.

    Raises:
        ConfigError: If nothing reads one of them, it does not fit, or a name of the config is one
            that mmengine's dump would not keep.
    """
    check_options(config, options)
    implied = dataset_options(config, options)
    for key, value in {**implied, **options}.items():
        _override(config, key, value)
    idle = idle_worker_options(config)
    config.merge_from_dict(idle)
    check_names(config.to_dict(), config.filename or 'the config')
    return {**implied, **idle}


def _override(config: Config, key: str, value) -> None:
    try:
        config.merge_from_dict({key: value})
    except (AssertionError, AttributeError, KeyError, TypeError) as error:
        name = osp.basename(config.filename)
        reason = textwrap.shorten(str(error), 150, placeholder=' ...')
        raise ConfigError(f"'{key}={value}' does not fit {name}: {reason}") from error


def read_config(path: str) -> Config:
    """Load a config file.

    Raises:
        ConfigError: If it cannot be read.
    """
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is Python, so anything
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise ConfigError(f"config '{path}' cannot be read: {reason}") from error
