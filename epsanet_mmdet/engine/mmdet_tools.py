"""Run mmdet's command line tools, after checks of the config, the data and the checkpoints."""

import logging
import os.path as osp
import runpy
import sys
import traceback
from importlib.util import find_spec
from itertools import takewhile
from typing import Callable, Dict, List, Optional, Sequence

import mmdet
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger

from ..checkpoint.weight_files import check_checkpoint_path
from ..config.bases import quick_bases
from ..config.build import backbone_checkpoint
from ..config.class_heads import check_class_heads
from ..config.data import DATALOADERS, data_paths, find_datasets
from ..config.key_values import read_key_values
from ..config.load import find_config, merge_options, read_config
from ..config.python_text import check_names
from ..datasets.checks import check_paths
from ..errors import ConfigError, UserError
from ..models.resnet import check_positions
from ..moved import renamed
from ..utils.command_line import step
from ..utils.host_memory import reuse_memory
from ..utils.storage import check_file_writable
from .dist import join_cpu_processes
from .runner import BriefRunner


def run_mmdet_tool(tool: str, check: Optional[Callable[[Config], None]] = None) -> None:
    """Run one of mmdet's tools with the arguments of this process.

    The config may be a bare name. ``data_root`` and ``skip_bad_images`` among ``--cfg-options``
    apply to every data set. Missing files and options that nothing reads are errors before the
    tool starts.

    Args:
        tool: File name in mmdet's ``tools``, such as ``train.py``.
        check: Further check of the config.
    """
    reuse_memory()
    sys.argv[1:] = prepare_arguments(sys.argv[1:], tool, check)
    try:
        with quick_bases(), step('training' if tool == 'train.py' else 'testing'):
            runpy.run_path(tool_path(tool), run_name='__main__')
    except UserError:
        raise
    except Exception:
        log_traceback()
        raise


def log_traceback() -> None:
    """Write the traceback of the current error to the log file alone, not to the terminal."""
    for handler in MMLogger.get_current_instance().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.stream.write(traceback.format_exc())
            handler.flush()


def tool_path(tool: str) -> str:
    """Return the path of one of mmdet's tools."""
    return osp.join(osp.dirname(mmdet.__file__), '.mim', 'tools', tool)


def prepare_arguments(
    arguments: List[str], tool: str, check: Optional[Callable[[Config], None]] = None
) -> List[str]:
    """Return the arguments for mmdet's tool: the config's path, and all options that ours imply.

    See :func:`run_mmdet_tool`. The processes of a distributed run on CPUs are joined here.
    """
    parse_args = runpy.run_path(tool_path(tool))['parse_args']
    try:
        given = parse_args()  # reads sys.argv, as mmdet will
    except (ValueError, AssertionError):  # of --cfg-options, whose words it does not name
        start = next(i for i, a in enumerate(arguments) if a.startswith('--cfg'))
        first = arguments[start].partition('=')[2]
        words = takewhile(lambda a: not a.startswith('--'), arguments[start + 1 :])
        read_key_values([first, *words] if first else list(words))
        raise
    config_file = find_config(given.config)
    config = read_config(config_file)
    implied = merge_options(config, given.cfg_options or {})
    if tool == 'train.py':
        check_mixed_precision(config, given.amp)
    if check:
        check(config)
    if 'runner_type' not in config:
        implied['runner_type'] = BriefRunner.__name__
    implied.update(join_cpu_processes(given.launcher))
    for name, value in vars(given).items():
        check_names(value, f'--{name.replace("_", "-")}')  # mmdet puts some into the config
    place = arguments.index(given.config)
    if arguments[place - 1] in ('--work-dir', '--out', '--show-dir'):  # a folder of the same name
        place = arguments.index(given.config, place + 1)
    arguments = [*arguments[:place], config_file, *arguments[place + 1 :]]
    arguments = with_options(arguments, implied)
    sections = DATALOADERS[2:] if tool == 'test.py' else DATALOADERS[:2]
    for path in (
        getattr(given, 'checkpoint', None),
        getattr(given, 'resume', None),
        config.get('load_from'),
    ):
        if path and path != 'auto':
            check_checkpoint_path(path)
    backbone = config.get('model', {}).get('backbone', {})
    if backbone.get('type') != 'WithPlugins':  # which has positions of its own and checks them
        check_positions(backbone.get('plugins'))
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
    """Insert config options into a tool's arguments, before those of the user, which win."""
    if not options:
        return arguments
    end = len(arguments)
    i = next((i for i, a in enumerate(arguments) if a.startswith('--cfg')), end)
    added = ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]
    return [*arguments[:i], *added, *arguments[i:]]


def check_mixed_precision(config: Config, amp: bool) -> None:
    """Check that there is a GPU if a training, or ``--amp``, uses mixed precision.

    Raises:
        ConfigError: If there is none; mmengine has no mixed precision on CPUs.
    """
    amp = amp or (config.get('optim_wrapper') or {}).get('type') == 'AmpOptimWrapper'
    if amp and get_device() == 'cpu':
        raise ConfigError(
            'mixed precision (AmpOptimWrapper) needs a GPU, and there is none; omit --amp, or set '
            '--cfg-options optim_wrapper.type=OptimWrapper'
        )


def check_pretrained(config: Config) -> None:
    """Check that torchvision is installed if a backbone's weights are at ``torchvision://``.

    Raises:
        ConfigError: If it is not; mmengine looks their URL up in it.
    """
    backbone = config.get('model', {}).get('backbone', {})
    path = backbone_checkpoint(backbone) or ''
    if path.startswith('torchvision://') and find_spec('torchvision') is None:
        raise ConfigError(
            f"the backbone's weights '{path}' need torchvision, which is not installed; install "
            'it, or name a file: --cfg-options model.backbone.init_cfg.checkpoint=FILE'
        )


def check_augmented_test(config: Config) -> None:
    """Check that mmdet can merge a model's predictions on augmented images.

    Raises:
        ConfigError: If the model predicts masks, which mmdet cannot merge.
    """
    model = config.get('model') or {}
    heads = [model, model.get('roi_head') or {}]
    augmented = (config.get('tta_model') or {}).get('type', 'DetTTAModel')
    if augmented == 'DetTTAModel' and any(head.get('mask_head') for head in heads):
        raise ConfigError(
            f"--tta merges only boxes, and the model of '{config.filename}' predicts masks; omit "
            '--tta, or test only boxes with --cfg-options model.roi_head.mask_head=None '
            'test_evaluator.metric=bbox'
        )


def check_data(config: Config, sections: Sequence[str] = DATALOADERS) -> None:
    """Check that the data of some dataloaders exist and have as many classes as the model.

    Raises:
        DataError: If a path does not exist.
        ConfigError: If a head has another number of classes.
    """
    for dataset in find_datasets(config, sections).values():
        if dataset.get('type') != 'CheckedCocoDataset':
            continue
        paths = data_paths(dataset)
        if '://' not in paths.ann_file:  # else mmengine reads them from another storage
            check_paths(paths.ann_file, paths.images, paths.root)
        check_class_heads(config.get('model') or {}, dataset)


__getattr__ = renamed(__name__, exit_on_user_error='utils.command_line.run_command')
