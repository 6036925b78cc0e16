"""Train a detector.

This runs mmdet's tools/train.py after checks of the config, the data and the checkpoints.
"""

from argparse import Namespace

from ..mmdet_arguments import add_training_arguments as add_arguments

__all__ = ['add_arguments', 'main']


def main(args: Namespace) -> None:
    from epsanet_mmdet.engine.mmdet_tools import run_mmdet_tool

    run_mmdet_tool('train.py')
