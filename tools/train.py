"""Train a detector with mmdet's tools/train.py, from a config given by path or bare name."""

import _interrupt  # noqa: F401

from epsanet_mmdet.engine.mmdet_tools import run_mmdet_tool
from epsanet_mmdet.utils.command_line import run_command

if __name__ == '__main__':
    run_command(run_mmdet_tool, 'train.py')
