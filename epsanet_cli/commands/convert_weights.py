"""Convert a checkpoint to starting weights.

The source can be a .pth, .safetensors or MXNet .params file from pretrain, the authors' code of a
network, torchvision's or timm's ResNets, or a detector. All sources: docs/weights.md.
"""

from argparse import Namespace

from ..completion import configs
from ..parser import CommandParser


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument('source', help='checkpoint to convert, file or URL')
    parser.add_argument(
        'out',
        nargs='?',
        help="file to write, .pth or .safetensors (default: the config's init_cfg.checkpoint)",
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        '--config', help='config with the backbone, by path or bare name'
    ).completer = configs
    target.add_argument(
        '--backbone',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='settings of the backbone, such as type=EPSANet depth=50 arch=small',
    )


def main(args: Namespace) -> None:
    from epsanet_mmdet.config.key_values import read_key_values
    from epsanet_mmdet.utils.command_line import step
    from epsanet_mmdet.weight_transfer.conversion import convert_weights

    args.backbone = read_key_values(args.backbone)
    with step(f"converting '{args.source}'"):
        print(convert_weights(**vars(args)))
