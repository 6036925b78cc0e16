"""Train a detector with mmdet's tools/train.py, from a config given by path or bare name."""

import _interrupt  # noqa: F401

from epsanet_mmdet.command_line import run_command
from epsanet_mmdet.mmdet_tools import run_mmdet_tool

if __name__ == '__main__':
    run_command(run_mmdet_tool, 'train.py')
