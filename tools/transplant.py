"""Turn the checkpoint of a ResNet into one of an EPSANet's backbone, which detectors start from.

Given a folder of any images, PSA is fitted to the ResNet's responses on them; a hundred images or
more are best. Without one, PSA's weights are cut out of the ResNet's.
"""

import _interrupt  # noqa: F401

from epsanet_mmdet.command_line import CommandParser, run_command, step
from epsanet_mmdet.transplant import METHODS, run_transplant


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('donor', help='checkpoint of a ResNet-50, 101 or 152, file or URL')
    parser.add_argument('out', nargs='?', help='file to write (checkpoints/epsanet50-s.pth, ...)')
    parser.add_argument('--arch', default='small', help='small, large or large-paper (%(default)s)')
    parser.add_argument('--depth', type=int, help='50, 101 or 152 (the one of the donor)')
    parser.add_argument('--images', help='folder of any images')
    parser.add_argument('--method', help=f'{", ".join(METHODS)} (fit with images, else permute)')
    parser.add_argument('--image-size', type=int, default=224, help='in pixels (%(default)s)')
    parser.add_argument(
        '--max-images', type=int, default=250, help='images to read, at most (%(default)s)'
    )
    parser.add_argument(
        '--views', type=int, default=1, help='crops of every image to fit on (%(default)s)'
    )
    parser.add_argument(
        '--positions', type=int, default=20000, help='to fit each block on (%(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0, help='(%(default)s)')
    return parser.parse_args()


def main():
    args = parse_args()
    with step(f"transplanting '{args.donor}'"):
        print(run_transplant(**vars(args)))


if __name__ == '__main__':
    run_command(main)
