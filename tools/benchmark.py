"""Compare time, throughput and memory of backbones and detectors, as Markdown and JSON.

A network is NAME[:backbone][+OPTION...]. NAME is one of the backbones below, or a config by path or
bare name. A config stands for the whole detector; add :backbone to measure its backbone only.
"""

import sys

import _interrupt  # noqa: F401

from epsanet_mmdet.benchmark import BACKBONES, OPTIONS, PRECISIONS, run_benchmark
from epsanet_mmdet.utils.command_line import CommandParser, run_command
from epsanet_mmdet.utils.host_memory import reuse_memory


def parse_args():
    options = '\n'.join(f'  +{name:<15}{meaning}' for name, (_, meaning) in OPTIONS.items())
    parser = CommandParser(
        description=__doc__, epilog=f'backbones: {", ".join(BACKBONES)}\noptions:\n{options}'
    )
    default = [name for name in BACKBONES if name != 'resnet50']
    default[default.index('epsanet50-l') :] += [f'epsanet50-{a}+published' for a in 'sl']
    parser.add_argument(
        'networks',
        nargs='*',
        default=default,
        help=f'networks to measure (default: {" ".join(default)})',
        metavar='NETWORK',
    )
    parser.add_argument(
        '--baseline',
        default='resnet50',
        help='network to compare the others with (default: %(default)s)',
    )
    parser.add_argument(
        '--also',
        nargs='*',
        default=[],
        metavar='OPTION[+OPTION...]',
        help='measure the baseline and all networks once more with these options',
    )
    parser.add_argument(
        '--inference',
        nargs='*',
        metavar='BxHxW',
        help='input sizes for inference (default without --training: 1x320x320)',
    )
    parser.add_argument(
        '--training',
        nargs='*',
        metavar='BxHxW',
        help='input sizes for training steps (default without --inference: 2x224x224)',
    )
    parser.add_argument(
        '--repeats',
        type=int,
        default=10,
        help='number of rounds; each round runs every network (default: %(default)s)',
    )
    parser.add_argument(
        '--device', help='device such as cpu or cuda:1 (default: a GPU if there is one)'
    )
    parser.add_argument(
        '--precision', default='fp32', help=f'{", ".join(PRECISIONS)} (default: %(default)s)'
    )
    parser.add_argument('--threads', type=int, help="number of CPU threads (default: torch's)")
    parser.add_argument('--out', help='JSON file to write')
    parser.add_argument(
        '--tune',
        metavar='FILE',
        help='measure plans of the GPU kernels first, and keep them in this JSON file; other '
        'programs use it by the environment variable EPSANET_GPU_PLANS',
    )
    parser.add_argument(
        '--expect',
        nargs='*',
        default=[],
        metavar='NAME[@TASK]<=RATIO',
        help='exit with status 1 if a network takes more than RATIO times as long as the baseline',
    )
    args = parser.parse_args()
    if args.inference is None and args.training is None:
        args.inference, args.training = ['1x320x320'], ['2x224x224']
    args.inference, args.training = args.inference or [], args.training or []
    return args


def main():
    args = parse_args()
    reuse_memory(args.device)
    run_benchmark(**vars(args), progress=lambda line: print(line, file=sys.stderr, flush=True))


if __name__ == '__main__':
    run_command(main)
