"""Draw a small data set of shapes to try pretrain on."""

from argparse import Namespace

from ..parser import CommandParser


def add_arguments(parser: CommandParser) -> None:
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


def main(args: Namespace) -> None:
    from epsanet_mmdet.datasets.shape_folder import write_image_folder

    names = write_image_folder(**vars(args))
    print(f'{len(names)} classes in {args.root}: {", ".join(names)}')
