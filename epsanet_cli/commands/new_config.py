"""Write a config that trains a model on your own data.

The data can be in COCO, Pascal VOC or YOLO format.
"""

from argparse import Namespace

from ..completion import configs
from ..parser import CommandParser


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        '--data',
        nargs='+',
        required=True,
        help='folders of a data set, COCO JSON files, or a YOLO data.yaml',
    )
    parser.add_argument(
        '--model', required=True, help='name of the model, such as mask-rcnn_epsanet50-s'
    ).completer = configs
    parser.add_argument('--out', help='config to write (default: MODEL_DATA.py)')
    parser.add_argument(
        '--images', help='image folder, for COCO JSON (default: the tool searches for it)'
    )


def main(args: Namespace) -> None:
    from epsanet_mmdet.own_data.new_config import new_config

    path = new_config(**vars(args))
    print(f'wrote {path}; train it with: epsanet train {path}')
