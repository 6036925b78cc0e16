"""Measure how often bootstrap intervals of AP contain the AP of a very large test set.

The images are synthetic and independent. The basic interval is that of the report; the percentile
interval has the same resamples.
"""

import numpy as np
from synthetic_detections import as_coco, synthetic_images

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.evaluation.bootstrap import match_classes, weighted_ap
from epsanet_mmdet.utils.command_line import run_command

POPULATION = 3000  # images of each of the sets whose mean AP is the true one


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument(
        '--images',
        type=int,
        nargs='+',
        default=[25, 50, 100, 300],
        help='sizes of the test sets (default: %(default)s)',
    )
    parser.add_argument(
        '--sets', type=int, default=150, help='test sets of each size (default: %(default)s)'
    )
    parser.add_argument(
        '--resamples', type=int, default=400, help='resamples of each (default: %(default)s)'
    )
    return parser.parse_args()


def resampled(images, resamples, seed):
    """Return the AP of a random test set, and those of its resamples."""
    classes = match_classes(*as_coco(synthetic_images(images, 1000 + seed)), 'bbox')
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(images, [1 / images] * images, resamples)
    return weighted_ap(classes, np.vstack([np.ones((1, images), int), weights]))


def true_ap():
    weights = np.ones((1, POPULATION), int)
    sets = (as_coco(synthetic_images(POPULATION, seed)) for seed in range(4))
    return np.mean([weighted_ap(match_classes(*pair, 'bbox'), weights) for pair in sets])


def main():
    args = parse_args()
    truth = true_ap()
    print(
        f'true AP {100 * truth:.1f}\n\n| images | mean AP | basic | percentile |\n'
        + 4 * '| --- '
        + '|'
    )
    for images in args.images:
        found = [resampled(images, args.resamples, seed) for seed in range(args.sets)]
        aps = np.array([ap for ap, *_ in found])
        low, high = np.array([np.percentile(aps[1:], (2.5, 97.5)) for aps in found]).T
        basic = (2 * aps - high <= truth) & (truth <= 2 * aps - low)
        percentile = (low <= truth) & (truth <= high)
        shares = f'{100 * basic.mean():.0f} % | {100 * percentile.mean():.0f} %'
        print(f'| {images} | {100 * aps.mean():.1f} | {shares} |', flush=True)


if __name__ == '__main__':
    run_command(main)
