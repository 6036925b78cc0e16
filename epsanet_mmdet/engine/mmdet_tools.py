"""Running mmdet's own command line tools on our configs."""

import logging
import os.path as osp
import runpy
import sys
import traceback
import warnings
from importlib.util import find_spec
from typing import Dict, List, Optional

import mmdet
from mmengine.config import Config
from mmengine.logging import MMLogger

from ..config.class_heads import check_class_heads
from ..config.load import DATALOADERS, find_config, inner_datasets, merge_options, read_config
from ..config.python_text import check_names
from ..datasets.checks import check_paths
from ..errors import CheckpointError, ConfigError, UserError
from ..models.plugin_positions import check_positions
from ..utils.command_line import DEBUG, run_command, step
from ..utils.host_memory import reuse_memory
from ..utils.storage import check_file_writable
from .dist import join_cpu_processes
from .runner import BriefRunner


def run_mmdet_tool(tool: str) -> None:
    """Run one of mmdet's tools with this process's arguments.

    Before it starts, the config may be given by its bare name, ``--cfg-options data_root=...``
    and ``skip_bad_images=...`` reach every data set, and paths that do not exist, or options that
    nothing reads, end it.

    Args:
        tool: File name in mmdet's ``tools``, such as ``train.py``.
    """
    reuse_memory()
    if set(sys.argv) & {'-h', '--help'} or len(sys.argv) == 1:
        try:
            runpy.run_path(tool_path(tool), run_name='__main__')
        finally:
            print(f'  {DEBUG:<21} show the traceback of an error')
        return
    sys.argv[1:] = prepare_arguments(sys.argv[1:], tool)
    try:
        with step('training' if tool == 'train.py' else 'testing'):
            runpy.run_path(tool_path(tool), run_name='__main__')
    except UserError:
        raise
    except Exception:
        log_traceback()
        raise


def log_traceback() -> None:
    """Write the traceback of the current error to the log file, which the terminal is spared."""
    for handler in MMLogger.get_current_instance().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.stream.write(traceback.format_exc())
            handler.flush()


def tool_path(tool: str) -> str:
    """Return the path of one of mmdet's tools."""
    return osp.join(osp.dirname(mmdet.__file__), '.mim', 'tools', tool)


def prepare_arguments(arguments: List[str], tool: str) -> List[str]:
    """Resolve the config's name, spread the data options, join processes, and check the rest."""
    parse_args = runpy.run_path(tool_path(tool))['parse_args']
    with step('reading the command line'):
        given = parse_args()  # of sys.argv, as mmdet will
    config_file = find_config(given.config)
    config = read_config(config_file)
    implied = merge_options(config, given.cfg_options or {})
    if 'runner_type' not in config:
        implied['runner_type'] = BriefRunner.__name__
    implied.update(join_cpu_processes(given.launcher))
    for name, value in vars(given).items():
        check_names(value, f'--{name.replace("_", "-")}')  # mmdet puts some into the config
    arguments = [config_file if a == given.config else a for a in arguments]
    arguments = with_options(arguments, implied)
    sections = DATALOADERS[2:] if tool == 'test.py' else DATALOADERS[:2]
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
    elif given.tta:
        check_augmented_test(config)
    stem = osp.splitext(osp.basename(config_file))[0]
    work_dir = given.work_dir or config.get('work_dir') or osp.join('work_dirs', stem)
    if '://' not in work_dir:  # as mmdet will choose it
        check_file_writable(osp.join(work_dir, 'config.py'))
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


def check_augmented_test(config: Config) -> None:
    """Check that mmdet's test-time augmentation can merge what a model predicts.

    Raises:
        ConfigError: If the model predicts masks, which it cannot.
    """
    model = config.get('model') or {}
    heads = [model, model.get('roi_head') or {}]
    augmented = (config.get('tta_model') or {}).get('type', 'DetTTAModel')
    if augmented == 'DetTTAModel' and any(head.get('mask_head') for head in heads):
        raise ConfigError(
            f"--tta merges boxes alone, and the model of '{config.filename}' predicts masks; leave "
            '--tta out, or test boxes alone with --cfg-options model.roi_head.mask_head=None '
            'test_evaluator.metric=bbox'
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


def __getattr__(name: str):
    if name == 'exit_on_user_error':
        warnings.warn(
            'exit_on_user_error is now epsanet_mmdet.utils.command_line.run_command',
            DeprecationWarning,
            stacklevel=2,
        )
        return run_command
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
