"""Say whether a stranger's config is pure data, or which lines of it would run code.

Nothing of the config is run. The status is 0 if all are pure data, 1 if one is not.
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter

from epsanet_mmdet.mmdet_tools import exit_on_user_error
from epsanet_mmdet.pure_data.command import run_check


def parse_args():
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='paths or bare names')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(exit_on_user_error(run_check, **vars(parse_args())))
