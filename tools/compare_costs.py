"""Parameters, FLOPs, latency and training memory of detectors, side by side, as a table."""

import sys

import _interrupt  # noqa: F401

from epsanet_mmdet.command_line import CommandParser, run_command
from epsanet_mmdet.latency import compare_costs, format_table


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('configs', nargs='+', help='paths or bare names')
    parser.add_argument(
        '--baseline',
        default='mask-rcnn_resnet50_fpn_1x_coco',
        help='what the others are relative to (%(default)s)',
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=(800, 1280),
        metavar=('HEIGHT', 'WIDTH'),
        help='of the image (%(default)s)',
    )
    parser.add_argument(
        '--repeats', type=int, default=10, help='rounds, in each of which all run (%(default)s)'
    )
    parser.add_argument('--device', help='such as cpu or cuda:1 (a GPU if there is one)')
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
