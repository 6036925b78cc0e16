"""Pre-train a backbone as a classifier.

The images are in a folder per class. The arguments are those of train.
"""

from argparse import Namespace

from ..mmdet_arguments import add_training_arguments as add_arguments

__all__ = ['add_arguments', 'main']


def main(args: Namespace) -> None:
    from epsanet_mmdet.pretraining.train import run_pretraining

    run_pretraining()
