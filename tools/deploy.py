"""Export a trained detector to files for inference, with fused layers.

Each file is checked against the original, with a tolerance of 1e-4. The suffix selects the format:
.onnx is a model for ONNX Runtime, OpenVINO and others, .pt2 is a torch.export program, and .pth is
a checkpoint for load_deployed. The first two accept any batch and image size.
"""

import _interrupt  # noqa: F401

from epsanet_mmdet.deploy import run_deploy
from epsanet_mmdet.utils.command_line import CommandParser, run_command, step


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='config of the detector, by path or bare name')
    parser.add_argument('checkpoint', help='checkpoint of the detector, file or URL')
    parser.add_argument('--out', nargs='+', required=True, metavar='FILE', help='files to write')
    parser.add_argument(
        '--backbone', action='store_true', help='export only the backbone, without neck and head'
    )
    return parser.parse_args()


def main():
    args = parse_args()
    with step(f"deploying '{args.checkpoint}'"):
        run_deploy(**vars(args))


if __name__ == '__main__':
    run_command(main)
