"""Write a page about a model's test: metrics, curves, confusions, and the worst pictures.

With CONFIG and CHECKPOINT it tests the model first; with --ann-file, --images and --results it
uses results that exist.
"""

import _interrupt  # noqa: F401
from mmengine.config import DictAction

from epsanet_mmdet.command_line import CommandParser, run_command, step
from epsanet_mmdet.report import report_results, report_test


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', nargs='?', help='path or bare name')
    parser.add_argument('checkpoint', nargs='?', help='file or URL')
    parser.add_argument('--ann-file', help='COCO annotations of the tested images')
    parser.add_argument('--images', help='folder of the images')
    parser.add_argument('--results', nargs='+', help='COCO results of boxes, masks or both')
    parser.add_argument('--out', default='report.html', help='page to write (%(default)s)')
    parser.add_argument('--work-dir', help='folder of the training, for its curves')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='lower scores do not count (%(default)s)'
    )
    parser.add_argument('--pictures', type=int, default=24, help='how many to show (%(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    args = parser.parse_args()
    if bool(args.checkpoint) == bool(args.ann_file and args.images and args.results):
        parser.error('give either CONFIG and CHECKPOINT, or --ann-file, --images and --results')
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
