"""Train a backbone as a classifier of an image folder; the arguments are those of train.py."""

from epsanet_mmdet.pretraining.command import run_pretraining

if __name__ == '__main__':
    run_pretraining()
