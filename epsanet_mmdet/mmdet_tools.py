"""Running mmdet's own command line tools on our configs."""

import os.path as osp
import runpy
import sys
from importlib.util import find_spec
from typing import Callable, Dict, List, Optional

import mmdet
from mmengine.config import Config

from .backbones.positions import check_positions
from .class_heads import check_class_heads
from .configs import DATALOADERS, dataset_options, find_config, inner_datasets, load_config
from .datasets.checks import check_paths
from .datasets.printable import one_line
from .disk_space import check_writable
from .distributed import join_cpu_processes
from .errors import CheckpointError, ConfigError, UserError
from .host_memory import reuse_memory
from .storage import WRITING_ONLY, storage_error
from .terminal import guard_terminal


def run_mmdet_tool(tool: str) -> None:
    """Run one of mmdet's tools with this process's arguments.

    Before it starts, the config may be given by its bare name, ``--cfg-options data_root=...``
    and ``skip_bad_images=...`` reach every data set, and paths that do not exist end it.

    Args:
        tool: File name in mmdet's ``tools``, such as ``train.py``.
    """
    reuse_memory()
    if not set(sys.argv) & {'-h', '--help'} and len(sys.argv) > 1:
        sys.argv[1:] = exit_on_user_error(prepare_arguments, sys.argv[1:], tool)
    exit_on_user_error(runpy.run_path, tool_path(tool), run_name='__main__')


def tool_path(tool: str) -> str:
    """Give the path of one of mmdet's tools."""
    return osp.join(osp.dirname(mmdet.__file__), '.mim', 'tools', tool)


def prepare_arguments(arguments: List[str], tool: str) -> List[str]:
    """Resolve the config's name, spread the data options, join processes, and check the rest."""
    given = runpy.run_path(tool_path(tool))['parse_args']()  # reads sys.argv, as mmdet will
    options = given.cfg_options or {}
    config_file = find_config(given.config)
    spread = dataset_options(load_config(config_file), options)
    arguments = [config_file if a == given.config else a for a in arguments]
    arguments = with_options(arguments, {**spread, **join_cpu_processes(given.launcher)})
    sections = DATALOADERS[2:] if tool == 'test.py' else DATALOADERS[:2]
    config = load_config(config_file, options)
    for path in (
        getattr(given, 'checkpoint', None),
        getattr(given, 'resume', None),
        config.get('load_from'),
    ):
        check_checkpoint_path(path)
    check_positions(config.get('model', {}).get('backbone', {}).get('plugins'))
    check_data(config, sections)
    if tool == 'train.py':
        check_pretrained(config)
    stem = osp.splitext(osp.basename(config_file))[0]
    work_dir = given.work_dir or config.get('work_dir') or osp.join('work_dirs', stem)
    check_writable(work_dir)  # as mmdet will choose it
    return arguments


def with_options(arguments: List[str], options: Dict[str, object]) -> List[str]:
    """Put config options among a tool's arguments, where the user's own override them."""
    if not options:
        return arguments
    end = len(arguments)
    i = next((i for i, a in enumerate(arguments) if a.startswith('--cfg')), end)
    added = ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]
    return [*arguments[:i], *added, *arguments[i:]]


def check_checkpoint_path(path: Optional[str]) -> None:
    """Check that a checkpoint on this machine exists.

    Raises:
        CheckpointError: If it does not.
    """
    if path and path != 'auto' and '://' not in path and not osp.isfile(path):
        raise CheckpointError(f"checkpoint '{path}' does not exist; check the path")


def check_pretrained(config: Config) -> None:
    """Check that mmengine can find a backbone's weights that torchvision has.

    Raises:
        ConfigError: If torchvision, which knows their address, is not installed.
    """
    backbone = config.get('model', {}).get('backbone', {})
    path = (backbone.get('init_cfg') or {}).get('checkpoint', '')
    if path.startswith('torchvision://') and find_spec('torchvision') is None:
        raise ConfigError(
            f"the backbone's weights '{path}' need torchvision, which is not installed; install "
            'it, or name a file: --cfg-options model.backbone.init_cfg.checkpoint=FILE'
        )


def check_data(config: Config, sections=DATALOADERS) -> None:
    """Check that some dataloaders' data are where the config says, and of the model's classes.

    Raises:
        DataError: Naming the path that does not exist.
        ConfigError: Naming the head that has another number of classes.
    """
    for section in sections:
        for dataset in inner_datasets((config.get(section) or {}).get('dataset')).values():
            if dataset.get('type') != 'CheckedCocoDataset':
                continue
            root = dataset.get('data_root') or ''
            images = osp.join(root, dataset.data_prefix.img)
            check_paths(osp.join(root, dataset.ann_file), images, root)
            check_class_heads(config.get('model') or {}, dataset)


def exit_on_user_error(function: Callable, *args, **kwargs):
    """Call a function; a :class:`UserError` or a full disk ends the process with one line.

    From then on the process's output cannot steer the terminal.
    """
    guard_terminal()
    try:
        return function(*args, **kwargs)
    except UserError as error:
        sys.exit(f'error: {one_line(str(error))}')
    except OSError as error:
        if error.errno not in WRITING_ONLY:
            raise
        sys.exit(f'error: {one_line(str(storage_error(error)))}')
