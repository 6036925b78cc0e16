"""Run a plan: train, test and compare several configs.

Each config is trained with each seed. After an interruption, the same command continues and repeats
nothing. Tables, plots and a page are written to the work folder. Plans: docs/reproduce.md.
"""

import sys
from argparse import ArgumentTypeError, Namespace

from ..completion import plans
from ..parser import CommandParser

# Arguments that replace a plan's values, by the values' keys.
CHANGES = {
    'data': 'data.paths',
    'images': 'data.images',
    'data_root': 'data.root',
    'train_ann': 'data.train_ann',
    'val_ann': 'data.val_ann',
    'test_ann': 'data.test_ann',
    'train_images': 'data.train_images',
    'val_images': 'data.val_images',
    'test_images': 'data.test_images',
    'classes': 'data.classes',
    'detector': 'detector',
    'seeds': 'seeds',
    'weights': 'weights',
    'epochs': 'training.epochs',
    'batch_size': 'training.batch_size',
    'image_scale': 'training.image_scale',
    'workers': 'training.workers',
    'val_interval': 'training.val_interval',
    'auto_scale_lr': 'training.auto_scale_lr',
    'launcher': 'launcher.type',
    'gpus': 'launcher.gpus',
    'jobs': 'launcher.jobs',
    'partition': 'launcher.partition',
    'sbatch_args': 'launcher.sbatch_args',
}


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        'plan', help='path, or bare name of a shipped plan such as small-data'
    ).completer = plans
    parser.add_argument('--work-dir', help='output folder (default: work_dirs/ and the plan name)')
    parser.add_argument('--dry-run', action='store_true', help='check everything and list the jobs')
    parser.add_argument(
        '--report-only', action='store_true', help='write tables and page without running any job'
    )
    parser.add_config_options('every config')
    data = parser.add_argument_group('data, in COCO, Pascal VOC or YOLO format')
    data.add_argument(
        '--data',
        nargs='+',
        metavar='PATH',
        help='folders of a data set, COCO JSON files, or a YOLO data.yaml',
    )
    data.add_argument(
        '--images', help='image folder, for COCO JSON (default: the tool searches for it)'
    )
    data = parser.add_argument_group('or COCO annotations by name; paths are relative to the root')
    data.add_argument('--data-root', help='root folder of the data set')
    data.add_argument('--train-ann', help='training annotations')
    data.add_argument('--val-ann', help='validation annotations')
    data.add_argument('--test-ann', help='test annotations (default: the validation annotations)')
    data.add_argument(
        '--train-images', help='folder of the training images (default: the tool searches for it)'
    )
    data.add_argument(
        '--val-images', help='folder of the validation images (default: the tool searches for it)'
    )
    data.add_argument(
        '--test-images', help='folder of the test images (default: the tool searches for it)'
    )
    data.add_argument(
        '--classes', nargs='+', help='class names (default: those of the training annotations)'
    )
    training = parser.add_argument_group('training, for all variants')
    training.add_argument(
        '--detector', help='such as faster-rcnn, in place of the one named in the plan'
    )
    training.add_argument(
        '--only', nargs='+', metavar='VARIANT', help='train and compare only these, by name'
    )
    training.add_argument('--seeds', nargs='+', type=int, help='train every variant with each seed')
    training.add_argument('--weights', help="starting weights of all backbones, or 'scratch'")
    training.add_argument(
        '--epochs', type=int, help='number of epochs; schedules are stretched or shortened'
    )
    training.add_argument('--batch-size', type=int, help='images per process')
    training.add_argument(
        '--image-scale',
        type=int,
        nargs=2,
        metavar=('WIDTH', 'HEIGHT'),
        help='size that images are resized to fit into',
    )
    training.add_argument('--workers', type=int, help='processes that load images')
    training.add_argument('--val-interval', type=int, help='epochs between validations')
    training.add_argument(
        '--auto-scale-lr',
        action='store_true',
        default=None,
        help='scale the learning rate to the number of images per step',
    )
    launcher = parser.add_argument_group('launcher')
    launcher.add_argument(
        '--launcher', choices=('none', 'pytorch', 'slurm'), help='how to start the processes'
    )
    launcher.add_argument('--gpus', type=int, help='processes per job')
    launcher.add_argument('--jobs', type=int, help='jobs at a time on this machine (default: 1)')
    launcher.add_argument(
        '--minutes',
        type=minutes,
        help='end after this time, as on SIGTERM: trainings save their states, and the same '
        'command continues',
    )
    launcher.add_argument('--partition', help='Slurm partition')
    launcher.add_argument(
        '--sbatch-args', nargs='+', metavar='=ARG', help='additional arguments for sbatch'
    )


def minutes(text: str) -> float:
    """Return a time that ``--minutes`` accepts."""
    value = float(text)
    if not 0 < value < 1e6:
        raise ArgumentTypeError(f"'{text}' is not a time from 0 to 1e6 minutes")
    return value


def main(args: Namespace) -> None:
    from epsanet_mmdet.config.key_values import read_key_values
    from epsanet_mmdet.experiments.command import reproduce

    changes = {key: getattr(args, name) for name, key in CHANGES.items()}
    sys.exit(
        reproduce(
            args.plan,
            work_dir=args.work_dir,
            changes={key: value for key, value in changes.items() if value is not None},
            options=read_key_values(args.options),
            dry_run=args.dry_run,
            report_only=args.report_only,
            minutes=args.minutes,
            only=args.only,
        )
    )
