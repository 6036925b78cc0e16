"""Plot the AP of a plan's variants against times of training and detection from another run.

A plan that runs several jobs at a time, or beside other programs, has disturbed times. A second run
of the plan with --epochs 1 --jobs 1 on an idle machine measures them.
"""

import json
from pathlib import Path
from typing import Dict

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.errors import DataError
from epsanet_mmdet.evaluation.comparing import plotted_costs
from epsanet_mmdet.evaluation.metrics import IOU_TYPES
from epsanet_mmdet.evaluation.plots import plot_costs, save_plot
from epsanet_mmdet.utils.command_line import run_command

TIMES = ('iteration_seconds', 'image_seconds')


def with_times(tested: Dict, timed: Dict) -> Dict:
    """Return the first comparison of a plan's table with the times of another.

    Args:
        tested: Content of ``table.json``.
        timed: The same of the run with the times.

    Raises:
        DataError: If the other run lacks a variant.
    """
    (comparison, *_), (other, *_) = tested['comparisons'], timed['comparisons']
    times = {row['name']: {key: row[key] for key in TIMES} for row in other['rows']}
    missing = [
        row['name'] for row in comparison['rows'] if not times.get(row['name'], {}).get(TIMES[0])
    ]
    if missing:
        raise DataError(f'no times of {", ".join(missing)}; run the plan with all variants')
    return {**comparison, 'rows': [{**row, **times[row['name']]} for row in comparison['rows']]}


def main() -> None:
    parser = CommandParser(description=__doc__)
    parser.add_argument('tested', type=Path, help='table.json of the run to take AP from')
    parser.add_argument('timed', type=Path, help='table.json of the run to take times from')
    parser.add_argument('out', type=Path, help='plot to write, such as box-ap-by-time.svg')
    parser.add_argument('--iou-type', choices=tuple(IOU_TYPES), default='bbox')
    args = parser.parse_args()
    tables = [json.loads(path.read_text(encoding='utf-8')) for path in (args.tested, args.timed)]
    comparison = with_times(*tables)
    save_plot(plot_costs, args.out, *plotted_costs(comparison, args.iou_type))
    for row in comparison['rows']:
        print(row['label'], *(f'{row[key]:.3f} s' for key in TIMES), sep=', ')


if __name__ == '__main__':
    run_command(main)
