"""Detect objects in images, videos or a webcam stream.

Boxes and masks are drawn, and written as COCO results and CSV, and as labels for annotation tools.
"""

from argparse import Namespace

from ..parser import CommandParser, end

LABEL_FORMATS = ('cvat', 'label-studio', 'ultralytics')
IMAGE_URL = '/data/local-files/?d='


def add_arguments(parser: CommandParser) -> None:
    parser.add_detector()
    parser.add_argument(
        'inputs', nargs='+', help="images, folders, videos, 'glob patterns', webcam indices"
    )
    parser.add_argument('--out-dir', default='outputs', help='output folder (default: %(default)s)')
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='leave out objects with lower scores (default: %(default)s)',
    )
    parser.add_argument(
        '--batch-size', type=int, default=1, help='images per batch (default: %(default)s)'
    )
    parser.add_device()
    parser.add_argument(
        '--no-pictures',
        dest='pictures',
        action='store_false',
        help='write only JSON and CSV results, without drawn images and videos',
    )
    parser.add_argument(
        '--labels',
        nargs='+',
        action='extend',
        default=[],
        choices=LABEL_FORMATS,
        help='annotation tools to write labels of images for: %(choices)s',
    )
    parser.add_argument(
        '--image-url',
        default=IMAGE_URL,
        metavar='PREFIX',
        help="text before the names of images for Label Studio, '' for plain names "
        '(default: %(default)s)',
    )
    parser.add_argument('--ann-file', help='COCO annotations to take image and category ids from')
    parser.add_config_options()


def main(args: Namespace) -> None:
    from epsanet_mmdet.config.key_values import read_key_values
    from epsanet_mmdet.inference import infer_to_folder
    from epsanet_mmdet.utils.command_line import step
    from epsanet_mmdet.utils.host_memory import reuse_memory

    reuse_memory(args.device)
    args.options = read_key_values(args.options)
    with step(f"detecting with '{args.checkpoint}'"):
        faults = infer_to_folder(**vars(args))
    end(args.out_dir, faults)
