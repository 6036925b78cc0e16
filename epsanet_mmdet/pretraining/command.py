"""Pre-training from the command line, by mmdet's ``train.py``."""

import runpy
import sys

from mmengine.config import Config
from mmengine.device import get_device

from ..config.load import load_config
from ..engine.mmdet_tools import run_mmdet_tool, tool_path
from ..errors import ConfigError
from .image_folder import check_image_folders


def run_pretraining() -> None:
    """Check the data and the config that this process's arguments name, then train."""
    if not set(sys.argv) & {'-h', '--help'} and len(sys.argv) > 1:
        given = runpy.run_path(tool_path('train.py'))['parse_args']()
        config = load_config(given.config, given.cfg_options)
        if given.amp:
            config.optim_wrapper.type = 'AmpOptimWrapper'
        check_pretraining(config)
    run_mmdet_tool('train.py')


def check_pretraining(config: Config) -> None:
    """Check what would stop a pre-training.

    Raises:
        DataError: On the image folders, see :func:`check_image_folders`.
        ConfigError: If the config trains no classifier, does not fit the data, or wants mixed
            precision where there is no GPU.
    """
    if (config.get('model') or {}).get('type') != 'ImageClassifier':
        raise ConfigError(
            f"config '{config.filename}' trains no ImageClassifier; name one of configs/pretrain, "
            'or use tools/train.py for detectors'
        )
    if config.optim_wrapper.type == 'AmpOptimWrapper' and get_device() == 'cpu':
        raise ConfigError(
            'mixed precision (AmpOptimWrapper) needs a GPU, and there is none; leave --amp out, or '
            'set --cfg-options optim_wrapper.type=OptimWrapper'
        )
    check_image_folders(config)
