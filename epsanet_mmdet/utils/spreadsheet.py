"""CSV that spreadsheets show and do not calculate."""

from typing import Any, Iterable, List

FORMULA = ('=', '+', '-', '@', '\t', '\r', '\n')  # what spreadsheets take a formula's beginning for


def csv_row(values: Iterable[Any]) -> List[Any]:
    """Return the cells of a line for :func:`csv.writer`.

    A text that a spreadsheet would take for a formula, such as a category called
    ``=HYPERLINK(...)``, begins with an apostrophe. Numbers are kept as they are.
    """
    return [f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for v in values]
