"""Export a trained detector to files for inference.

Layers are fused, and each file is checked against the original. The suffix selects the format:
.onnx is a model for ONNX Runtime and others, .xml one for OpenVINO, .pt2 is a torch.export program,
and .pth is a checkpoint for load_deployed. The first two contain the whole detector, from an image
of any size to boxes, scores, labels and masks; .pt2 contains what --dense exports.
"""

from argparse import Namespace

from ..parser import CommandParser


def add_arguments(parser: CommandParser) -> None:
    parser.add_detector()
    parser.add_argument('--out', nargs='+', required=True, metavar='FILE', help='files to write')
    part = parser.add_mutually_exclusive_group()
    part.add_argument(
        '--backbone', action='store_true', help='export only the backbone, without neck and head'
    )
    part.add_argument(
        '--dense',
        action='store_true',
        help='export the maps that the detector computes before it selects boxes, for any batch',
    )
    parser.add_argument(
        '--target',
        choices=['cpu', 'cuda'],
        default='cpu',
        help="device to export for (default: cpu); cuda merges PSA's narrow groups",
    )
    parser.add_argument(
        '--opset', type=int, default=18, help='version of the ONNX operators (default: 18)'
    )
    parser.add_argument(
        '--image', metavar='FILE', help='compare detections in this image, not in a generated one'
    )


def main(args: Namespace) -> None:
    from epsanet_mmdet.deploy import run_deploy
    from epsanet_mmdet.utils.command_line import step

    with step(f"deploying '{args.checkpoint}'"):
        run_deploy(**vars(args))
