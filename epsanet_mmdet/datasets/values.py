"""Numbers in annotation files, where they may be of any type."""

import math
from typing import List, Optional

LIMIT = 2**63


def whole(value) -> Optional[int]:
    """Return a whole number, even if written as a string or with a decimal point; otherwise None.

    Numbers of more than 63 bits are refused: no id or size has them, and they may not even print.
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
