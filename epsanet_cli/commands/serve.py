"""Try a detector on a local web page.

Pictures are dropped on it, the threshold of scores can be moved, and the results are downloaded as
drawn pictures, COCO results and CSV.
"""

from argparse import Namespace

from ..parser import CommandParser


def add_arguments(parser: CommandParser) -> None:
    parser.add_detector()
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen on; others than the default let everyone in the network use it, '
        'without a password (default: %(default)s)',
    )
    parser.add_argument(
        '--port', type=int, default=7860, help='port to listen on (default: %(default)s)'
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='initial threshold of scores (default: %(default)s)',
    )
    parser.add_device()
    parser.add_config_options()


def main(args: Namespace) -> None:
    from epsanet_mmdet.config.key_values import read_key_values
    from epsanet_mmdet.serving import serve
    from epsanet_mmdet.utils.command_line import step

    args.options = read_key_values(args.options)
    with step(f"serving '{args.checkpoint}'"):
        serve(**vars(args))
