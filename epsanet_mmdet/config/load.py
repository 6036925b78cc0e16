"""Find, load and change configs."""

import os.path as osp
import re
import textwrap
from pathlib import Path
from typing import Dict, Iterable, Optional

from mmengine.config import Config

from ..errors import ConfigError
from ..utils.text import closest, suggestion
from .bases import quick_bases
from .data import dataset_options, idle_worker_options
from .options import check_options
from .python_text import check_names

SUFFIXES = ('.py', '.yml', '.yaml', '.json')  # what mmengine reads


def configs_dir() -> Path:
    """Return the folder of the shipped configs, in a source tree or an installed wheel."""
    package = Path(__file__).parent.parent
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def find_config(name: str) -> str:
    """Return the path of a config, from its path or from the bare name of a shipped one.

    Raises:
        ConfigError: If there is no such config; it suggests the closest names.
    """
    shipped = (path for path in configs_dir().rglob('*.py') if '_base_' not in path.parts)
    return find_file(name, 'config', shipped)


def find_file(name: str, kind: str, shipped: Iterable[Path]) -> str:
    """Return the path of a file, from its path or from the bare name of a shipped one.

    Args:
        name: Path or bare name.
        kind: What messages call the file.
        shipped: Paths of the shipped files.

    Raises:
        ConfigError: If there is no such file; it suggests the closest names.
    """
    if osp.isfile(name):
        return name
    paths = {path.stem: str(path) for path in sorted(shipped)}
    stem = re.sub(r'\.(py|ya?ml)$', '', name)
    if stem in paths:
        return paths[stem]
    if osp.isdir(name):
        raise ConfigError(f"'{name}' is a folder; name a {kind} file in it")
    word = osp.basename(stem)
    if closest(word, paths, most=3) or len(paths) <= 20:
        remedy = suggestion(word, paths, most=3)
    else:
        remedy = f'check the path, or choose a shipped one from {configs_dir()}'
    raise ConfigError(f"there is no {kind} '{name}', neither as a file nor by name; {remedy}")


def load_config(name: str, options: Optional[Dict] = None) -> Config:
    """Load a config by path or bare name. Configs are programs: loading one executes it.

    Args:
        name: Path, or bare name such as ``mask-rcnn_epsanet50-s_fpn_1x_coco``.
        options: Overrides, see :func:`merge_options`.

    Raises:
        ConfigError: If the config does not exist or cannot be read, or for the reasons of
            :func:`merge_options`.
    """
    config = read_config(find_config(name))
    merge_options(config, options or {})
    return config


def merge_options(config: Config, options: Dict) -> Dict:
    """Merge overrides into a config.

    Args:
        config: The config, changed in place.
        options: Values by dotted key, as for ``--cfg-options``. ``data_root`` and
            ``skip_bad_images`` apply to every data set.

    Returns:
        Further overrides that were merged. With these, mmdet's own tools build the same config.

    Raises:
        ConfigError: If nothing reads an option, an option does not fit the config, or mmengine's
            dump of the config would change a name in it.
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
    if not path.endswith(SUFFIXES):
        raise ConfigError(f"'{path}' is not a config; name a {', '.join(SUFFIXES)} file")
    try:
        with quick_bases():
            return Config.fromfile(path)
    except Exception as error:  # a config is Python, so anything
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise ConfigError(f"config '{path}' cannot be read: {reason}") from error
