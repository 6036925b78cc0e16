"""Train the embedded example for long, and say whether memory, files and processes stay as many.

Ends with status 1 if they do not.
"""

import json
import sys

import _interrupt  # noqa: F401

from epsanet_mmdet.command_line import CommandParser, run_command
from epsanet_mmdet.long_run import run_long


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('--work-dir', default='work_dirs/long_run', help='(%(default)s)')
    parser.add_argument('--iterations', type=int, default=2000, help='(%(default)s)')
    parser.add_argument('--size', type=int, default=192, help='of the images (%(default)s)')
    parser.add_argument('--images', type=int, default=400, help='to train on (%(default)s)')
    parser.add_argument('--batch-size', type=int, default=8, help='(%(default)s)')
    parser.add_argument(
        '--as-is',
        action='store_false',
        dest='tidy',
        help='count memory too that is free, but not handed back to the system',
    )
    return parser.parse_args()


def main():
    args = vars(parse_args())
    result = run_long(args.pop('work_dir'), **args)
    print(json.dumps(result))
    sys.exit(not result['flat'])


if __name__ == '__main__':
    run_command(main)
