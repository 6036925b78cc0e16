"""Draw a small classification data set of textured shapes, for trying out pre-training."""

import _interrupt  # noqa: F401

from epsanet_mmdet.datasets.shape_folder import write_image_folder
from epsanet_mmdet.utils.command_line import CommandParser, run_command


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('root', help='output folder, for train/CLASS and val/CLASS')
    parser.add_argument(
        '--classes', type=int, default=10, help='number of classes, 2 to 16 (default: %(default)s)'
    )
    parser.add_argument(
        '--images-per-class',
        type=int,
        default=200,
        help='training images per class (default: %(default)s)',
    )
    parser.add_argument(
        '--val-per-class',
        type=int,
        default=40,
        help='validation images per class (default: %(default)s)',
    )
    parser.add_argument(
        '--size', type=int, default=96, help='height and width in pixels (default: %(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: %(default)s)')
    return parser.parse_args()


def main():
    args = parse_args()
    names = write_image_folder(**vars(args))
    print(f'{len(names)} classes in {args.root}: {", ".join(names)}')


if __name__ == '__main__':
    run_command(main)
