"""Turn a classifier's checkpoint into a backbone's, which the detection configs start from.

Taken are checkpoints of tools/pretrain.py, of the EPSANet authors' script, torchvision's and timm's
ResNets, and detectors, as .pth or .safetensors.
"""

import _interrupt  # noqa: F401
from mmengine.config import DictAction

from epsanet_mmdet.checkpoints.comparison import comparison_table
from epsanet_mmdet.checkpoints.conversion import convert_weights
from epsanet_mmdet.command_line import CommandParser, run_command, step


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('source', help='file or URL')
    parser.add_argument(
        'out', nargs='?', help="to write, .pth or .safetensors (the config's init_cfg.checkpoint)"
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument('--config', help='config that has the backbone, path or bare name')
    target.add_argument(
        '--backbone',
        nargs='+',
        action=DictAction,
        help='such as type=EPSANet depth=50 arch=small',
    )
    return parser.parse_args()


def main():
    args = parse_args()
    with step(f"converting '{args.source}'"):
        result = convert_weights(**vars(args))
    print(f'{result.layout}\n{comparison_table(result.comparison)}')
    print(f'Written to {result.out}')
    if not result.comparison.complete:
        print('note: not all tensors matched, so this is not the network that was trained')
    if not result.in_use:
        print(f'Use it with --cfg-options model.backbone.init_cfg.checkpoint={result.out}')


if __name__ == '__main__':
    run_command(main)
