"""Make starting weights for EPSANet from a ResNet.

With --images, PSA is fitted to the ResNet's activations on these images; use a hundred or more.
Without --images, the filters of PSA are cut from those of the ResNet.
"""

from argparse import Namespace

from ..parser import CommandParser

# As in epsanet_mmdet, which takes seconds to import.
ARCHS = ('small', 'large', 'large-paper')
METHODS = ('random', 'slice', 'permute', 'fit')


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        'teacher', help='checkpoint of a ResNet-50, 101 or 152, or of a detector with one'
    )
    parser.add_argument(
        'out',
        nargs='?',
        help='file to write, .pth or .safetensors (default: checkpoints/epsanet50-s.pth, ...)',
    )
    parser.add_argument('--arch', choices=ARCHS, default='small', help='default: %(default)s')
    parser.add_argument(
        '--detector',
        action='store_true',
        help='keep the neck and heads: the checkpoint is of a detector, and so is OUT',
    )
    parser.add_argument('--depth', type=int, help='50, 101 or 152 (default: that of the ResNet)')
    parser.add_argument('--images', help='folder with any images')
    parser.add_argument(
        '--method', choices=METHODS, help='default: fit with --images, permute without'
    )
    parser.add_argument(
        '--image-size',
        type=int,
        default=224,
        help='height and width of the views in pixels (default: %(default)s)',
    )
    parser.add_argument(
        '--max-images',
        type=int,
        default=250,
        help='maximum number of images to read (default: %(default)s)',
    )
    parser.add_argument(
        '--views', type=int, default=1, help='crops per image to fit on (default: %(default)s)'
    )
    parser.add_argument(
        '--positions',
        type=int,
        default=20000,
        help='maximum number of feature map positions to fit each block on (default: %(default)s)',
    )
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: %(default)s)')


def main(args: Namespace) -> None:
    from epsanet_mmdet.utils.command_line import step
    from epsanet_mmdet.weight_transfer import run_transplant

    with step(f"transplanting '{args.teacher}'"):
        print(run_transplant(**vars(args)))
