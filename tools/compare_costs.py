"""Print a table that compares parameters, FLOPs, latency and training memory of detectors."""

import sys

import _interrupt  # noqa: F401

from epsanet_mmdet.benchmark.costs import compare_costs, format_table
from epsanet_mmdet.utils.command_line import CommandParser, run_command


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('configs', nargs='+', help='configs, by path or bare name')
    parser.add_argument(
        '--baseline',
        default='mask-rcnn_resnet50_fpn_1x_coco',
        help='config to compare the others with (default: %(default)s)',
    )
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
    parser.add_argument(
        '--device', help='device such as cpu or cuda:1 (default: a GPU if there is one)'
    )
    return parser.parse_args()


def main():
    args = parse_args()
    costs = compare_costs(
        [args.baseline, *args.configs],
        tuple(args.size),
        args.repeats,
        args.device,
        progress=lambda line: print(line, file=sys.stderr),
    )
    print(format_table(costs))


if __name__ == '__main__':
    run_command(main)
