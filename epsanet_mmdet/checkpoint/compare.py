"""Comparison of two state dicts by the names, shapes and values of their tensors."""

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from torch import Size, Tensor

ORDER = ('stem', *(f'stage {number}' for number in range(1, 5)), 'the rest')
COLUMNS = ('matched', 'missing', 'unexpected', 'wrong shape')


class Comparison(NamedTuple):
    """Names of tensors, without the counters of batch normalisation.

    Attributes:
        matched: In both, with the same shape.
        missing: In the model only.
        unexpected: In the checkpoint only.
        reshaped: In both, with different shapes.
    """

    matched: List[str]
    missing: List[str]
    unexpected: List[str]
    reshaped: List[str]

    @property
    def complete(self) -> bool:
        """Return True if model and checkpoint have the same tensors."""
        return not (self.missing or self.unexpected or self.reshaped)

    @property
    def given(self) -> int:
        """Return the number of tensors in the checkpoint."""
        return len(self.matched) + len(self.unexpected) + len(self.reshaped)

    @property
    def wanted(self) -> int:
        """Return the number of tensors in the model."""
        return len(self.matched) + len(self.missing) + len(self.reshaped)


def compare(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> Comparison:
    """Compare the ``state_dict`` of a checkpoint with that of a model.

    Args:
        given: Of the checkpoint; values that are not tensors are ignored.
        wanted: Of the model.
    """
    given, wanted = _shapes(given), _shapes(wanted)
    both = [name for name in wanted if name in given]
    return Comparison(
        matched=[name for name in both if given[name] == wanted[name]],
        missing=[name for name in wanted if name not in given],
        unexpected=[name for name in given if name not in wanted],
        reshaped=[name for name in both if given[name] != wanted[name]],
    )


def value_fault(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Optional[str]:
    """Return which tensor of a checkpoint holds integers or non-finite values, or None.

    Only tensors that the model has with the same shape are considered.
    """
    for name in compare(given, wanted).matched:
        if wanted[name].is_floating_point() > given[name].is_floating_point():
            return f'has integers in {name}, as quantised weights do'
        if not given[name].isfinite().all():
            return f'has values in {name} that are not finite, as after a diverged training'
    return None


def comparison_table(comparison: Comparison) -> str:
    """Return a table with a line for each stage, and up to three names for each mismatch."""
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


def _shapes(state_dict: Mapping[str, Any]) -> Dict[str, Size]:
    return {
        name: value.shape
        for name, value in state_dict.items()
        if isinstance(value, Tensor) and not name.endswith('num_batches_tracked')
    }
