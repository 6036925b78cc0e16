"""Explain detections by heat maps and attention.

Heat maps (Grad-CAM) show where the score of each object comes from. They and the weights of every
attention layer, such as those of the scales of PSA, are written as pictures and one HTML page.
"""

from argparse import Namespace

from ..parser import CommandParser, end

METHODS = ('hirescam', 'grad-cam')


def add_arguments(parser: CommandParser) -> None:
    parser.add_detector()
    parser.add_argument('inputs', nargs='+', help="images, folders, 'glob patterns'")
    parser.add_argument('--out-dir', default='explain', help='output folder (default: %(default)s)')
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='leave out objects with lower scores (default: %(default)s)',
    )
    parser.add_argument(
        '--objects',
        type=int,
        default=5,
        help='heat maps of an image, those of the highest scores (default: %(default)s)',
    )
    parser.add_argument(
        '--pictures',
        type=int,
        default=12,
        help='images with heat maps; attention is averaged over all (default: %(default)s)',
    )
    parser.add_argument(
        '--method',
        choices=METHODS,
        default='hirescam',
        help='heat maps by a gradient for each position, or by the original Grad-CAM, which '
        'averages gradients over the image (default: %(default)s)',
    )
    parser.add_argument(
        '--layer',
        default='backbone',
        help='layer of the heat maps, by its name in the model (default: the stage of the '
        'backbone that contributed most)',
    )
    parser.add_device()
    parser.add_config_options()


def main(args: Namespace) -> None:
    from epsanet_mmdet.config.key_values import read_key_values
    from epsanet_mmdet.explain import explain_to_folder
    from epsanet_mmdet.utils.command_line import step

    args.options = read_key_values(args.options)
    with step(f"explaining '{args.checkpoint}'"):
        faults = explain_to_folder(**vars(args))
    end(args.out_dir, faults)
