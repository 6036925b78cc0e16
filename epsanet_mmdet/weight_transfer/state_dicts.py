"""Comparing a checkpoint with a backbone, stage by stage."""

import re
from typing import Dict, List, Mapping, NamedTuple

from torch import Tensor

ORDER = ('stem', *(f'stage {number}' for number in range(1, 5)), 'the rest')
COLUMNS = ('matched', 'missing', 'unexpected', 'wrong shape')


class Comparison(NamedTuple):
    """Names of tensors, without the counters of batch normalisation.

    Attributes:
        matched: In both, with the same shape.
        missing: In the backbone only.
        unexpected: In the checkpoint only.
        reshaped: In both, with another shape.
    """

    matched: List[str]
    missing: List[str]
    unexpected: List[str]
    reshaped: List[str]

    @property
    def complete(self) -> bool:
        """Return whether backbone and checkpoint have the same tensors."""
        return not (self.missing or self.unexpected or self.reshaped)


def compare(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Comparison:
    """Compare a checkpoint's tensors with those of a backbone."""
    given, wanted = _shapes(given), _shapes(wanted)
    both = [name for name in wanted if name in given]
    return Comparison(
        matched=[name for name in both if given[name] == wanted[name]],
        missing=[name for name in wanted if name not in given],
        unexpected=[name for name in given if name not in wanted],
        reshaped=[name for name in both if given[name] != wanted[name]],
    )


def comparison_table(comparison: Comparison) -> str:
    """Return a comparison as a table with a line for each stage, and a name of each kind."""
    stages = sorted({_stage(name) for names in comparison for name in names}, key=ORDER.index)
    rows = [('', *COLUMNS)]
    for stage in stages:
        counts = [sum(_stage(name) == stage for name in names) for names in comparison]
        rows.append((stage, *map(str, counts)))
    rows.append(('all', *(str(len(names)) for names in comparison)))
    lines = ['  '.join(f'{cell:>11}' for cell in row) for row in rows]
    for what, names in zip(COLUMNS[1:], comparison[1:]):
        if names:
            lines.append(f'{what} such as: {", ".join(names[:3])}')
    return '\n'.join(lines)


def _stage(name: str) -> str:
    found = re.match(r'layer([1-4])\.', name)
    if found:
        return f'stage {found.group(1)}'
    return 'stem' if re.match(r'(conv1|bn1|stem)\.', name) else 'the rest'


def _shapes(tensors: Mapping[str, Tensor]) -> Dict[str, tuple]:
    return {
        name: tuple(value.shape)
        for name, value in tensors.items()
        if not name.endswith('num_batches_tracked')
    }
