"""Check a data set in COCO, Pascal VOC or YOLO format.

Every image is decoded. The exit status is 0 without errors (warnings are allowed), 1 with errors,
and 2 if the command line is wrong.
"""

import sys
from argparse import Namespace

from ..parser import CommandParser


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        'paths', nargs='+', help='folders of a data set, COCO JSON files, or a YOLO data.yaml'
    )
    parser.add_argument(
        '--images', help='image folder, for COCO JSON (default: the tool searches for it)'
    )
    parser.add_argument('--fix', metavar='FOLDER', help='write repaired annotations to this folder')
    parser.add_argument('--page', metavar='FILE', help='write an HTML page with images')
    parser.add_argument(
        '--limit',
        type=int,
        default=10,
        help='most findings to list of each kind; 0 lists all (default: %(default)s)',
    )


def main(args: Namespace) -> None:
    from epsanet_mmdet.own_data.check import run_check

    sys.exit(run_check(**vars(args)))
