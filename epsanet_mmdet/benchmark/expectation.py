"""Ratios that a benchmark is expected to keep."""

import re
from typing import List, NamedTuple, Optional, Sequence

from ..errors import ArgumentError, ExpectationError
from .measurement import Measurement
from .passes import INFERENCE, TRAINING


class Expectation(NamedTuple):
    """The most that a network's time may be of the baseline's.

    Attributes:
        name: Network.
        ratio: Bound on the median ratio, for every input.
        task: Only for this task, or for both.
    """

    name: str
    ratio: float
    task: Optional[str] = None


def parse_expectation(text: str, names: Sequence[str]) -> Expectation:
    """Read ``NAME<=RATIO`` or ``NAME@TASK<=RATIO``.

    Args:
        text: What to read.
        names: Networks that will be measured.

    Raises:
        ArgumentError: If it is something else, or of a network or task that is not measured.
    """
    found = re.fullmatch(r'(.+?)(?:@(\w+))?<=(\d+\.?\d*)', text)
    if not found:
        raise ArgumentError(f"expectation '{text}' is not NAME<=RATIO or NAME@TASK<=RATIO")
    name, task, ratio = found.groups()
    if name not in names:
        raise ArgumentError(
            f"expectation '{text}' is of a network that is not measured; measured are: "
            f'{", ".join(names)}'
        )
    if task not in (None, INFERENCE, TRAINING):
        raise ArgumentError(f"expectation '{text}' is neither of {INFERENCE} nor of {TRAINING}")
    return Expectation(name, float(ratio), task)


def check_expectations(
    expectations: Sequence[Expectation], measurements: Sequence[Measurement]
) -> List[str]:
    """Check that measured ratios keep to what was expected.

    Returns:
        A line for each that does.

    Raises:
        ExpectationError: Naming each that does not.
    """
    kept, broken = [], []
    for expected in expectations:
        measured = [
            m for m in measurements if m.name == expected.name and expected.task in (None, m.task)
        ]
        if not measured:
            raise ExpectationError(f'nothing was measured of {expected.name}@{expected.task}')
        for m in measured:
            line = f'{m.name} takes x{m.ratio:.3f} in {m.task} at {m.input}'
            if m.ratio <= expected.ratio:
                kept.append(f'{line}, {expected.ratio:g} at most were expected')
            else:
                broken.append(f'{line}, which is more than the {expected.ratio:g} expected')
    if broken:
        raise ExpectationError('; '.join(broken))
    return kept
