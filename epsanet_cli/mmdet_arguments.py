"""The arguments of mmdet's ``train.py`` and ``test.py``, which parse them once more."""

from .completion import configs
from .parser import CommandParser

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


def add_training_arguments(parser: CommandParser) -> None:
    """Add the arguments of mmdet's ``train.py``."""
    parser.add_argument('config', help='config, by path or bare name').completer = configs
    parser.add_argument(
        '--work-dir', help='output folder (default: work_dirs/ and the name of the config)'
    )
    parser.add_argument('--amp', action='store_true', help='train with mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the number of images per step',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from this checkpoint (default: the last one in the output folder)',
    )
    _add_common_arguments(parser)


def add_testing_arguments(parser: CommandParser) -> None:
    """Add the arguments of mmdet's ``test.py``."""
    parser.add_argument('config', help='config, by path or bare name').completer = configs
    parser.add_argument('checkpoint', help='checkpoint of the detector, file or URL')
    parser.add_argument(
        '--work-dir', help='output folder (default: work_dirs/ and the name of the config)'
    )
    parser.add_argument('--out', metavar='FILE', help='pickle file of predictions to write')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument(
        '--show-dir', metavar='FOLDER', help='draw predictions to this folder of the output folder'
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds to show each image (default: %(default)s)',
    )
    parser.add_argument(
        '--tta', action='store_true', help='merge the predictions on augmented images'
    )
    _add_common_arguments(parser)


def _add_common_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='settings to change in the config'
    )
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        default='none',
        help='what has started the processes (default: %(default)s)',
    )
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help='index of the process on this machine, which old launchers pass',
    )
