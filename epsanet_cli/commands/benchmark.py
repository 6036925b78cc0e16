"""Compare time and memory of backbones and detectors.

The results are Markdown and JSON. A network is NAME[:backbone][+OPTION...]. NAME is one of the
backbones below, or a config by path or bare name. A config stands for the whole detector; add
:backbone to measure its backbone only.
"""

import sys
from argparse import Namespace
from typing import List

from ..completion import configs
from ..parser import CommandParser

# As in epsanet_mmdet.benchmark, which takes seconds to import.
BACKBONES = (
    *('resnet50', 'resnext50-32x4d', 'res2net50', 'resnest50'),
    *('epsanet50-s', 'epsanet50-l'),
)
OPTIONS = {
    'published': "EPSANet in the steps of the authors' code",
    'deploy': 'deployed, for inference only',
    'library': "without the package's own kernels",
    'channels-last': 'in channels-last memory format',
    'compile': 'compiled with inductor',
    'cudagraph': 'replayed as a CUDA graph; backbones only',
}
PRECISIONS = ('fp32', 'tf32', 'bf16', 'fp16')
DEFAULT = [*BACKBONES[1:], 'epsanet50-s+published', 'epsanet50-l+published']


def add_arguments(parser: CommandParser) -> None:
    options = '\n'.join(f'  +{name:<15}{meaning}' for name, meaning in OPTIONS.items())
    parser.epilog = f'backbones: {", ".join(BACKBONES)}\noptions:\n{options}'
    parser.add_argument(
        'networks',
        nargs='*',
        default=DEFAULT,
        help=f'networks to measure (default: {" ".join(DEFAULT)})',
        metavar='NETWORK',
    ).completer = networks
    parser.add_argument(
        '--baseline',
        default='resnet50',
        help='network to compare the others with (default: %(default)s)',
    ).completer = networks
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
    parser.add_device()
    parser.add_argument(
        '--precision', choices=PRECISIONS, default='fp32', help='default: %(default)s'
    )
    parser.add_argument(
        '--tune',
        metavar='FILE',
        help='measure plans of the GPU kernels first, and keep them in this JSON file; other '
        'programs use it by the environment variable EPSANET_GPU_PLANS',
    )
    parser.add_argument('--threads', type=int, help="number of CPU threads (default: torch's)")
    parser.add_argument('--out', help='JSON file to write')
    parser.add_argument(
        '--expect',
        nargs='*',
        default=[],
        metavar='NAME[@TASK]<=RATIO',
        help='exit with status 1 if a network takes more than RATIO times as long as the baseline',
    )


def networks(prefix: str, **kwargs) -> List[str]:
    """Return names of networks that may follow a prefix."""
    base, plus, _ = prefix.rpartition('+')
    if plus:
        return [f'{base}+{option}' for option in OPTIONS]
    return [*BACKBONES, *configs(prefix)]


def main(args: Namespace) -> None:
    from epsanet_mmdet.benchmark import run_benchmark
    from epsanet_mmdet.utils.host_memory import reuse_memory

    if args.inference is None and args.training is None:
        args.inference, args.training = ['1x320x320'], ['2x224x224']
    args.inference, args.training = args.inference or [], args.training or []
    reuse_memory(args.device)
    run_benchmark(**vars(args), progress=lambda line: print(line, file=sys.stderr, flush=True))
