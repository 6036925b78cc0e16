"""Pre-train a backbone as a classifier on an image folder, with the arguments of train.py."""

import _interrupt  # noqa: F401

from epsanet_mmdet.command_line import run_command
from epsanet_mmdet.pretraining.command import run_pretraining

if __name__ == '__main__':
    run_command(run_pretraining)
