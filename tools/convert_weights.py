"""Convert a classifier's checkpoint to backbone weights that the detection configs start from.

The source can be a .pth or .safetensors file from tools/pretrain.py, the EPSANet authors' training
script, torchvision's or timm's ResNets, or a detector. All sources: docs/weights.md.
"""

import _interrupt  # noqa: F401
from mmengine.config import DictAction

from epsanet_mmdet.utils.command_line import CommandParser, run_command, step
from epsanet_mmdet.weight_transfer.conversion import convert_weights


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('source', help='checkpoint to convert, file or URL')
    parser.add_argument(
        'out',
        nargs='?',
        help="file to write, .pth or .safetensors (default: the config's init_cfg.checkpoint)",
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument('--config', help='config with the backbone, by path or bare name')
    target.add_argument(
        '--backbone',
        nargs='+',
        action=DictAction,
        help='settings of the backbone, such as type=EPSANet depth=50 arch=small',
    )
    return parser.parse_args()


def main():
    args = parse_args()
    with step(f"converting '{args.source}'"):
        print(convert_weights(**vars(args)))


if __name__ == '__main__':
    run_command(main)
