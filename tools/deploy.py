"""Turn a trained detector into plain files for inference: fused, the same to 1e-4, and checked.

The suffix says what is written: .onnx a model for ONNX Runtime, OpenVINO and others, .pt2 a program
of torch.export, both for any batch and image size; .pth a checkpoint for load_deployed.
"""

import _interrupt  # noqa: F401

from epsanet_mmdet.command_line import CommandParser, run_command, step
from epsanet_mmdet.deploy import run_deploy


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='path or bare name')
    parser.add_argument('checkpoint', help='file or URL')
    parser.add_argument('--out', nargs='+', required=True, metavar='FILE', help='files to write')
    parser.add_argument(
        '--backbone', action='store_true', help='export the backbone alone, not neck and head'
    )
    return parser.parse_args()


def main():
    args = parse_args()
    with step(f"deploying '{args.checkpoint}'"):
        run_deploy(**vars(args))


if __name__ == '__main__':
    run_command(main)
