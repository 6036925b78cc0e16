"""Train and test Mask R-CNN on generated images.

This takes about ten minutes on two CPU cores.
"""

import time
from argparse import Namespace

from ..parser import CommandParser


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        '--work-dir', default='work_dirs/demo', help='output folder (default: %(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: %(default)s)')


def main(args: Namespace) -> None:
    from epsanet_mmdet.demo import run_demo
    from epsanet_mmdet.utils.host_memory import reuse_memory

    reuse_memory()
    started = time.time()
    metrics = run_demo(args.work_dir, args.seed)
    print(
        f'\ndone in {(time.time() - started) / 60:.1f} minutes, on held-out images:\n'
        f'  box  AP {metrics["coco/bbox_mAP"]:.3f}  AP50 {metrics["coco/bbox_mAP_50"]:.3f}\n'
        f'  mask AP {metrics["coco/segm_mAP"]:.3f}  AP50 {metrics["coco/segm_mAP_50"]:.3f}\n'
        f'predictions beside ground truth: {args.work_dir}/predictions.png\n'
        f'loss and AP curves:              {args.work_dir}/curves.png'
    )
