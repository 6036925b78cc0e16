"""Write a config that trains a shipped model on data of your own: COCO, Pascal VOC or YOLO."""

from argparse import ArgumentParser

from epsanet_mmdet.mmdet_tools import exit_on_user_error
from epsanet_mmdet.new_config import new_config


def parse_args():
    parser = ArgumentParser(description=__doc__)
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


if __name__ == '__main__':
    path = exit_on_user_error(new_config, **vars(parse_args()))
    print(f'wrote {path}; train it with: python tools/train.py {path}')
