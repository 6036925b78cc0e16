"""Upper bounds on the ratios of a benchmark."""

import re
from typing import List, NamedTuple, Optional, Sequence

from ..errors import ArgumentError, ExpectationError
from .measurement import Measurement
from .passes import INFERENCE, TRAINING


class Expectation(NamedTuple):
    """Upper bound on a network's time relative to the baseline.

    Attributes:
        name: Network.
        ratio: Bound on the median ratio for every input.
        task: Task that it applies to; None for both.
    """

    name: str
    ratio: float
    task: Optional[str] = None


def parse_expectation(text: str, names: Sequence[str]) -> Expectation:
    """Parse ``NAME<=RATIO`` or ``NAME@TASK<=RATIO``.

    Args:
        text: Text to parse.
        names: Networks that will be measured.

    Raises:
        ArgumentError: If the text has another form, or names another network or task.
    """
    found = re.fullmatch(r'(.+?)(?:@(\w+))?<=(\d+\.?\d*)', text)
    if not found:
        raise ArgumentError(f"expectation '{text}' is not NAME<=RATIO or NAME@TASK<=RATIO")
    name, task, ratio = found.groups()
    if name not in names:
        raise ArgumentError(
            f"expectation '{text}' names a network that is not measured; choose one of "
            f'{", ".join(names)}'
        )
    if task not in (None, INFERENCE, TRAINING):
        raise ArgumentError(f"expectation '{text}' is for neither {INFERENCE} nor {TRAINING}")
    return Expectation(name, float(ratio), task)


def check_expectations(
    expectations: Sequence[Expectation], measurements: Sequence[Measurement]
) -> List[str]:
    """Check measured ratios against the expected bounds.

    Returns:
        A line for each ratio within its bound.

    Raises:
        ExpectationError: If ratios exceed their bounds; the message lists all of them.
    """
    kept, broken = [], []
    for expected in expectations:
        measured = [
            m for m in measurements if m.name == expected.name and expected.task in (None, m.task)
        ]
        if not measured:
            raise ExpectationError(f'{expected.name}@{expected.task} was not measured')
        for m in measured:
            line = f'{m.name} takes x{m.ratio:.3f} in {m.task} at {m.input}'
            if m.ratio <= expected.ratio:
                kept.append(f'{line}, at most {expected.ratio:g} as expected')
            else:
                broken.append(f'{line}, more than the expected {expected.ratio:g}')
    if broken:
        raise ExpectationError('; '.join(broken))
    return kept
