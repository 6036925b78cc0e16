"""Pre-train a backbone as a classifier on an image folder; takes the arguments of train.py."""

import _interrupt  # noqa: F401

from epsanet_mmdet.pretraining.train import run_pretraining
from epsanet_mmdet.utils.command_line import run_command

if __name__ == '__main__':
    run_command(run_pretraining)
