"""Write an HTML report of a test.

It has metrics with their uncertainty, the score to use, curves, confusions and the worst images.
With CONFIG and CHECKPOINT, the model is tested first. With --ann-file, --images and --results,
existing results are used. Several checkpoints, or several --results, are seeds of one training.
"""

from argparse import Namespace
from typing import Optional

from ..completion import configs
from ..parser import CommandParser


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        'config', nargs='?', help='config of the detector, by path or bare name'
    ).completer = configs
    parser.add_argument(
        'checkpoint', nargs='*', help='checkpoint of the detector, file or URL; one for each seed'
    )
    parser.add_argument('--ann-file', help='COCO annotations of the tested images')
    parser.add_argument('--images', help='folder of the tested images')
    parser.add_argument(
        '--results',
        nargs='+',
        action='append',
        metavar='FILE',
        help='COCO results with boxes, masks or both; repeat it for each seed',
    )
    parser.add_argument(
        '--out', default='report.html', help='HTML file to write (default: %(default)s)'
    )
    parser.add_argument(
        '--work-dir',
        nargs='+',
        metavar='FOLDER',
        help="work folder of the training, or of each seed's, to plot its curves",
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        help='treat lower scores as not detected in counts and images (default: the recommended '
        'one, of the highest F1)',
    )
    parser.add_argument(
        '--pictures', type=int, default=24, help='number of images to show (default: %(default)s)'
    )
    parser.add_config_options()
    parser.check = find_fault


def find_fault(args: Namespace) -> Optional[str]:
    """Return what is wrong with the arguments as a whole, or None."""
    if bool(args.checkpoint) == bool(args.ann_file and args.images and args.results):
        return 'pass either CONFIG and CHECKPOINT, or --ann-file, --images and --results'
    return None


def main(args: Namespace) -> None:
    from epsanet_mmdet.config.key_values import read_key_values
    from epsanet_mmdet.evaluation import report_results, report_test
    from epsanet_mmdet.utils.command_line import step

    choices = dict(score_thr=args.score_thr, pictures=args.pictures, work_dir=args.work_dir)
    if args.checkpoint:
        choices['options'] = read_key_values(args.options)
        first, *choices['more_seeds'] = args.checkpoint
        with step(f"testing '{first}'"):
            report_test(args.config, first, args.out, **choices)
    else:
        first, *choices['more_seeds'] = args.results
        with step(f"reporting on '{args.ann_file}'"):
            report_results(args.ann_file, args.images, first, args.out, **choices)
    print(f'Written to {args.out}')
