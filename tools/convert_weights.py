"""Turn a classifier's checkpoint into a backbone's, which the detection configs start from.

Taken are checkpoints of tools/pretrain.py, of the EPSANet authors' script, torchvision's and timm's
ResNets, and detectors, as .pth or .safetensors.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter

from mmengine.config import DictAction

from epsanet_mmdet.checkpoints.comparison import comparison_table
from epsanet_mmdet.checkpoints.conversion import convert_weights
from epsanet_mmdet.mmdet_tools import exit_on_user_error


def parse_args():
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
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
    result = exit_on_user_error(convert_weights, **vars(parse_args()))
    print(f'{result.layout}\n{comparison_table(result.comparison)}')
    print(f'Written to {result.out}')
    if not result.comparison.complete:
        print('note: not all tensors matched, so this is not the network that was trained')
    if not result.in_use:
        print(f'Use it with --cfg-options model.backbone.init_cfg.checkpoint={result.out}')


if __name__ == '__main__':
    main()
