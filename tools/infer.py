"""Detect and segment objects in pictures, folders, videos or a webcam's stream."""

import sys

import _interrupt  # noqa: F401
from mmengine.config import DictAction

from epsanet_mmdet.command_line import CommandParser, run_command, step
from epsanet_mmdet.host_memory import reuse_memory
from epsanet_mmdet.inference import infer_to_folder


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='path or bare name')
    parser.add_argument('checkpoint', help='file or URL')
    parser.add_argument(
        'inputs', nargs='+', help="pictures, folders, videos, 'glob patterns', webcam indices"
    )
    parser.add_argument('--out-dir', default='outputs', help='where to write (%(default)s)')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='leave out lower scores (%(default)s)'
    )
    parser.add_argument(
        '--batch-size', type=int, default=1, help='pictures at a time (%(default)s)'
    )
    parser.add_argument('--device', help='such as cpu or cuda:1 (a GPU if there is one)')
    parser.add_argument(
        '--no-pictures',
        dest='pictures',
        action='store_false',
        help='write only numbers, draw neither pictures nor videos',
    )
    parser.add_argument('--ann-file', help='COCO annotations to take image and category ids from')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, dest='options')
    return parser.parse_args()


def main():
    args = parse_args()
    reuse_memory(args.device)
    with step(f"detecting with '{args.checkpoint}'"):
        faults = infer_to_folder(**vars(args))
    print(f'Written to {args.out_dir}')
    if faults:
        sys.exit(f'note: {len(faults)} inputs were skipped: ' + '; '.join(faults[:5]))


if __name__ == '__main__':
    run_command(main)
