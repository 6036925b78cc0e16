"""Measure transplants: the reconstruction error of each method, and the iterations it saves.

``donor`` trains a ResNet on generated images. ``response`` needs a ResNet and images. ``training``
needs a checkpoint written by epsanet transplant. ``detectors`` needs the work folder of the plan
small-data. Results are kept in the work dir, so the same command resumes after an interruption.
"""

from head_start import compare_starts, head_start_table
from reconstruction_study import compare_methods
from shapes_training import train_teacher
from transplanted_detectors import STUDENTS, measure_transplants, transplant_table

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.utils.command_line import run_command
from epsanet_mmdet.weight_transfer import METHODS, reconstruction_table


def parse_args():
    parser = CommandParser(description=__doc__)
    what = parser.add_subparsers(dest='what', required=True)
    teacher = what.add_parser('donor', help='train a ResNet-50 as a detector of generated shapes')
    teacher.add_argument(
        '--iterations', type=int, default=2000, help='training iterations (default: %(default)s)'
    )
    response = what.add_parser('response', help='measure the reconstruction error of each method')
    response.add_argument('teacher', help='checkpoint of a ResNet')
    response.add_argument('images', help='folder of any images')
    response.add_argument(
        '--arch', default='small', help='EPSANet variant to build (default: %(default)s)'
    )
    for name, value in dict(image_size=224, max_images=250, views=1, positions=20000).items():
        option = f'--{name.replace("_", "-")}'
        response.add_argument(
            option,
            type=int,
            default=value,
            help='as in epsanet transplant (default: %(default)s)',
        )
    training = what.add_parser('training', help='compare the loss of a detector from both starts')
    training.add_argument('checkpoint', help='EPSANet-50 small from epsanet transplant')
    training.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[0, 1, 2],
        help='seeds to train with (default: 0 1 2)',
    )
    training.add_argument(
        '--iterations', type=int, default=200, help='iterations per training (default: %(default)s)'
    )
    detectors = what.add_parser('detectors', help='test transplanted detectors without training')
    detectors.add_argument('study', help='work folder of the plan small-data')
    detectors.add_argument('images', help='folder of images to fit on, such as the training images')
    detectors.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3, 4])
    for name, choices in (('archs', tuple(STUDENTS)), ('methods', METHODS)):
        detectors.add_argument(f'--{name}', nargs='+', choices=choices, default=choices)
    for part in (teacher, response, training, detectors):
        part.add_argument(
            '--work-dir',
            default='work_dirs/transplant',
            help='output folder (default: %(default)s)',
        )
    return parser.parse_args()


def main():
    options = vars(parse_args())
    what = options.pop('what')
    if what == 'donor':
        train_teacher(**options)
    elif what == 'response':
        print(reconstruction_table(compare_methods(**options)))
    elif what == 'detectors':
        print(transplant_table(measure_transplants(**options)))
    else:
        print(head_start_table(compare_starts(**options)))


if __name__ == '__main__':
    run_command(main)
