"""Compare parameters, FLOPs and time of detectors.

The table also has the memory of a training step.
"""

import sys
from argparse import Namespace

from ..completion import configs
from ..parser import CommandParser


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        'configs', nargs='+', help='configs, by path or bare name'
    ).completer = configs
    parser.add_argument(
        '--baseline',
        default='mask-rcnn_resnet50_fpn_1x_coco',
        help='config to compare the others with (default: %(default)s)',
    ).completer = configs
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=(800, 1280),
        metavar=('HEIGHT', 'WIDTH'),
        help='size of the image (default: 800 1280)',
    )
    parser.add_argument(
        '--repeats',
        type=int,
        default=10,
        help='number of rounds; each round runs every detector (default: %(default)s)',
    )
    parser.add_device()


def main(args: Namespace) -> None:
    from epsanet_mmdet.benchmark.costs import compare_costs, format_table

    costs = compare_costs(
        [args.baseline, *args.configs],
        tuple(args.size),
        args.repeats,
        args.device,
        progress=lambda line: print(line, file=sys.stderr),
    )
    print(format_table(costs))
