"""Write a config that trains a model on your own data.

The data can be in COCO, Pascal VOC or YOLO format. Comments in the config explain its settings.
"""

from argparse import Namespace

from ..completion import configs
from ..parser import CommandParser

# As in epsanet_mmdet, which takes seconds to import.
AUGMENTATIONS = ('colour', 'scale-jitter', 'mosaic', 'copy-paste')
TRACKERS = ('tensorboard', 'wandb', 'mlflow')
PATIENCE = 5  # validations, of about 12 in a training


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        '--data',
        nargs='+',
        required=True,
        help='folders of a data set, COCO JSON files, or a YOLO data.yaml',
    )
    parser.add_argument(
        '--model', required=True, help='name of the model, such as mask-rcnn_epsanet50-s'
    ).completer = configs
    parser.add_argument('--out', help='config to write (default: MODEL_DATA.py)')
    parser.add_argument(
        '--images', help='image folder, for COCO JSON (default: the tool searches for it)'
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        '--weights',
        metavar='FILE',
        help='weights of a backbone or detector to start from (default: those in checkpoints/)',
    )
    weights.add_argument(
        '--transplant',
        metavar='RESNET',
        help='make starting weights for EPSANet from this checkpoint of a ResNet, or of a detector '
        'with one, and the images',
    )
    _add_switches(parser)


def _add_switches(parser: CommandParser) -> None:
    group = parser.add_argument_group('choices that are off by default')
    group.add_argument(
        '--augment',
        nargs='+',
        choices=AUGMENTATIONS,
        default=[],
        metavar='KIND',
        help=f'change the training images: {", ".join(AUGMENTATIONS)}',
    )
    group.add_argument(
        '--balance-classes', action='store_true', help='show images with rare classes more often'
    )
    group.add_argument('--ema', action='store_true', help='average the weights')
    group.add_argument(
        '--early-stopping',
        nargs='?',
        type=int,
        const=PATIENCE,
        metavar='N',
        help='end after N validations without a better box AP (N without a number: %(const)s)',
    )
    group.add_argument(
        '--accumulate',
        type=int,
        default=1,
        metavar='N',
        help='accumulate the gradients of N batches, for GPUs with little memory',
    )
    group.add_argument('--amp', action='store_true', help='train with mixed precision, on a GPU')
    group.add_argument(
        '--log',
        nargs='+',
        choices=TRACKERS,
        default=[],
        metavar='TRACKER',
        help=f'log the training to {", ".join(TRACKERS)} as well',
    )


def main(args: Namespace) -> None:
    from dataclasses import fields
    from functools import partial

    from epsanet_mmdet.own_data.new_config import Switches, new_config

    options = vars(args)
    switches = Switches(**{field.name: options.pop(field.name) for field in fields(Switches)})
    if options['transplant']:
        from epsanet_mmdet.weight_transfer import is_detector, run_transplant

        teacher = options['transplant']
        options['transplant'] = partial(run_transplant, teacher, detector=is_detector(teacher))
    path = new_config(**options, switches=switches)
    print(f'wrote {path}; train it with: epsanet train {path}')
