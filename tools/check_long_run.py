"""Train the embedded example for a long time, and check memory, open files and child processes.

The exit status is 1 if one of these does not stay constant.
"""

import json
import sys

import _interrupt  # noqa: F401

from epsanet_mmdet.command_line import CommandParser, run_command
from epsanet_mmdet.long_run import run_long


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument(
        '--work-dir', default='work_dirs/long_run', help='output folder (default: %(default)s)'
    )
    parser.add_argument(
        '--iterations',
        type=int,
        default=2000,
        help='training iterations, rounded up to whole epochs (default: %(default)s)',
    )
    parser.add_argument(
        '--size',
        type=int,
        default=192,
        help='height and width of the images (default: %(default)s)',
    )
    parser.add_argument(
        '--images', type=int, default=400, help='number of training images (default: %(default)s)'
    )
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images per iteration (default: %(default)s)'
    )
    parser.add_argument(
        '--as-is',
        action='store_false',
        dest='tidy',
        help='also count freed memory that was not returned to the system',
    )
    return parser.parse_args()


def main():
    args = vars(parse_args())
    result = run_long(args.pop('work_dir'), **args)
    print(json.dumps(result))
    sys.exit(not result['flat'])


if __name__ == '__main__':
    run_command(main)
