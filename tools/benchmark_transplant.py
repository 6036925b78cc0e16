"""Measure transplants: the response kept by each start, and the iterations they save.

``donor`` trains a donor on generated images, ``response`` needs a donor and images, ``training`` a
checkpoint of tools/transplant.py. What was measured is kept in the work dir, so after an
interruption the same command continues.
"""

import _interrupt  # noqa: F401

from epsanet_mmdet.command_line import CommandParser, run_command
from epsanet_mmdet.transplant.comparison import compare_methods
from epsanet_mmdet.transplant.detector_donor import train_donor
from epsanet_mmdet.transplant.head_start import compare_starts, head_start_table
from epsanet_mmdet.transplant.response import response_table


def parse_args():
    parser = CommandParser(description=__doc__)
    what = parser.add_subparsers(dest='what', required=True)
    donor = what.add_parser('donor', help='train a ResNet-50 as a detector of generated shapes')
    donor.add_argument('--iterations', type=int, default=2000, help='(%(default)s)')
    response = what.add_parser('response', help='what each start keeps of the response')
    response.add_argument('donor', help='checkpoint of a ResNet')
    response.add_argument('images', help='folder of any images')
    response.add_argument('--arch', default='small', help='(%(default)s)')
    for name, value in dict(image_size=224, max_images=250, views=1, positions=20000).items():
        option = f'--{name.replace("_", "-")}'
        response.add_argument(option, type=int, default=value, help='(%(default)s)')
    training = what.add_parser('training', help="a detector's loss from both starts")
    training.add_argument('checkpoint', help='EPSANet-50 small, as tools/transplant.py writes it')
    training.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='(0 1 2)')
    training.add_argument('--iterations', type=int, default=200, help='(%(default)s)')
    for part in (donor, response, training):
        part.add_argument('--work-dir', default='work_dirs/transplant', help='(%(default)s)')
    return parser.parse_args()


def main():
    options = vars(parse_args())
    what = options.pop('what')
    if what == 'donor':
        train_donor(**options)
    elif what == 'response':
        print(response_table(compare_methods(**options)))
    else:
        print(head_start_table(compare_starts(**options)))


if __name__ == '__main__':
    run_command(main)
