"""Show augmented training images with their annotations.

They are what the pipeline of a config returns, and are written as one HTML page or one picture.
"""

from argparse import Namespace

from ..completion import configs
from ..parser import CommandParser

SPLITS = ('train', 'val', 'test')


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument('config', help='config, by path or bare name').completer = configs
    parser.add_argument(
        '--out',
        default='browse.html',
        help='.html, .png or .jpg file to write (default: %(default)s)',
    )
    parser.add_argument(
        '--split', choices=SPLITS, default='train', help='images to show (default: %(default)s)'
    )
    parser.add_argument(
        '--samples', type=int, default=16, help='number of images (default: %(default)s)'
    )
    parser.add_argument(
        '--repeats',
        type=int,
        default=1,
        help='augmentations of each image, side by side (default: %(default)s)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of the choice of images and of the augmentations (default: %(default)s)',
    )
    parser.add_config_options()


def main(args: Namespace) -> None:
    from epsanet_mmdet.config.key_values import read_key_values
    from epsanet_mmdet.own_data.browse import browse

    args.options = read_key_values(args.options)
    count = browse(**vars(args))
    print(f'wrote {args.out} with {count} images')
