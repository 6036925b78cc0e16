"""Write an HTML report of a test: metrics, curves, confusions and the worst images.

With CONFIG and CHECKPOINT, the tool tests the model first. With --ann-file, --images and --results,
it uses existing results.
"""

import _interrupt  # noqa: F401
from mmengine.config import DictAction

from epsanet_mmdet.evaluation import report_results, report_test
from epsanet_mmdet.utils.command_line import CommandParser, run_command, step


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', nargs='?', help='config of the detector, by path or bare name')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint of the detector, file or URL')
    parser.add_argument('--ann-file', help='COCO annotations of the tested images')
    parser.add_argument('--images', help='folder of the tested images')
    parser.add_argument('--results', nargs='+', help='COCO results with boxes, masks or both')
    parser.add_argument(
        '--out', default='report.html', help='HTML file to write (default: %(default)s)'
    )
    parser.add_argument('--work-dir', help='work folder of the training, to plot its curves')
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='treat lower scores as not detected in counts and images (default: %(default)s)',
    )
    parser.add_argument(
        '--pictures', type=int, default=24, help='number of images to show (default: %(default)s)'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='settings to change in the config'
    )
    args = parser.parse_args()
    if bool(args.checkpoint) == bool(args.ann_file and args.images and args.results):
        parser.error('pass either CONFIG and CHECKPOINT, or --ann-file, --images and --results')
    return args


def main():
    args = parse_args()
    choices = dict(score_thr=args.score_thr, pictures=args.pictures, work_dir=args.work_dir)
    if args.checkpoint:
        choices['options'] = args.cfg_options
        with step(f"testing '{args.checkpoint}'"):
            report_test(args.config, args.checkpoint, args.out, **choices)
    else:
        inputs = (args.ann_file, args.images, args.results)
        with step(f"reporting on '{args.ann_file}'"):
            report_results(*inputs, args.out, **choices)
    print(f'Written to {args.out}')


if __name__ == '__main__':
    run_command(main)
