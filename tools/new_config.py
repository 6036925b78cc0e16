"""Write a config that trains a shipped model on data of your own: COCO, Pascal VOC or YOLO."""

import _interrupt  # noqa: F401

from epsanet_mmdet.command_line import CommandParser, run_command
from epsanet_mmdet.new_config import new_config


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument(
        '--data',
        nargs='+',
        required=True,
        help="folders of a data set, COCO JSON files, or YOLO's data.yaml",
    )
    parser.add_argument('--model', required=True, help='such as mask-rcnn_epsanet50-s')
    parser.add_argument('--out', help='config to write (MODEL_DATA.py)')
    parser.add_argument('--images', help='folder of the images of COCO JSON (looked for)')
    return parser.parse_args()


def main():
    path = new_config(**vars(parse_args()))
    print(f'wrote {path}; train it with: python tools/train.py {path}')


if __name__ == '__main__':
    run_command(main)
