"""Check a data set in COCO, Pascal VOC or YOLO format, and decode every image.

The status is 0 if there are no errors (there may be warnings), 1 if there are, and 2 if the
command line is wrong.
"""

import sys

import _interrupt  # noqa: F401

from epsanet_mmdet.command_line import CommandParser, run_command
from epsanet_mmdet.datasets.checking.command import run_check


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument(
        'paths', nargs='+', help="folders of a data set, COCO JSON files, or YOLO's data.yaml"
    )
    parser.add_argument('--images', help='folder of the images of COCO JSON (looked for)')
    parser.add_argument('--fix', metavar='FOLDER', help='write repaired annotations into it')
    parser.add_argument('--page', metavar='FILE', help='write an HTML page with pictures')
    parser.add_argument(
        '--limit', type=int, default=10, help='of a kind to list, 0 for all (%(default)s)'
    )
    return parser.parse_args()


def main():
    sys.exit(run_check(**vars(parse_args())))


if __name__ == '__main__':
    run_command(main)
