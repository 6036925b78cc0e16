"""Export a trained detector to files for inference.

Layers are fused. Each file is checked against the original, with a tolerance of 1e-4. The suffix
selects the format: .onnx is a model for ONNX Runtime, OpenVINO and others, .pt2 is a torch.export
program, and .pth is a checkpoint for load_deployed. The first two accept any batch and image size.
"""

from argparse import Namespace

from ..completion import configs
from ..parser import CommandParser


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        'config', help='config of the detector, by path or bare name'
    ).completer = configs
    parser.add_argument('checkpoint', help='checkpoint of the detector, file or URL')
    parser.add_argument('--out', nargs='+', required=True, metavar='FILE', help='files to write')
    parser.add_argument(
        '--backbone', action='store_true', help='export only the backbone, without neck and head'
    )


def main(args: Namespace) -> None:
    from epsanet_mmdet.deploy import run_deploy
    from epsanet_mmdet.utils.command_line import step

    with step(f"deploying '{args.checkpoint}'"):
        run_deploy(**vars(args))
