"""Numbers as they are found in annotation files."""

import math
from typing import List, Optional

LIMIT = 2**63


def whole(value) -> Optional[int]:
    """Return a whole number, also one written as a string or with a decimal point; else None.

    So are numbers that no id or size can be, as they cannot be calculated or even printed.
    """
    if type(value) is int:
        return value if abs(value) < LIMIT else None
    if isinstance(value, float) and value.is_integer() and abs(value) < LIMIT:
        return int(value)
    if isinstance(value, str) and value.strip().removeprefix('-').isdecimal() and len(value) < 19:
        return int(value)
    return None


def finite(value) -> bool:
    return type(value) in (int, float) and abs(value) < 1e15 and math.isfinite(value)


def four_numbers(value) -> Optional[List[float]]:
    """Return a box of four finite numbers, or None."""
    if isinstance(value, (list, tuple)) and len(value) == 4 and all(map(finite, value)):
        return list(value)
    return None
