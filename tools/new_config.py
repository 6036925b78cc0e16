"""Write a config that trains a shipped model on your own COCO, Pascal VOC or YOLO data."""

import _interrupt  # noqa: F401

from epsanet_mmdet.own_data.new_config import new_config
from epsanet_mmdet.utils.command_line import CommandParser, run_command


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument(
        '--data',
        nargs='+',
        required=True,
        help='folders of a data set, COCO JSON files, or a YOLO data.yaml',
    )
    parser.add_argument(
        '--model', required=True, help='name of the model, such as mask-rcnn_epsanet50-s'
    )
    parser.add_argument('--out', help='config to write (default: MODEL_DATA.py)')
    parser.add_argument(
        '--images', help='image folder, for COCO JSON (default: the tool searches for it)'
    )
    return parser.parse_args()


def main():
    path = new_config(**vars(parse_args()))
    print(f'wrote {path}; train it with: python tools/train.py {path}')


if __name__ == '__main__':
    run_command(main)
