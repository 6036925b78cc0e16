"""Untrusted text in messages, CSV and XML, and suggestions for misspelt names."""

import re
import unicodedata
from difflib import get_close_matches
from typing import Any, Collection, Iterable, List, Sequence

FORMULA = ('=', '+', '-', '@', '\t', '\r', '\n')  # how formulas begin in spreadsheets
NOT_XML = re.compile('[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


def one_line(text: str) -> str:
    """Return a text with line ends and other control characters escaped."""
    if text.isprintable():
        return text
    return ''.join(
        c if c.isprintable() or unicodedata.category(c) == 'Zs' else repr(c)[1:-1] for c in text
    )


def printable(text: object, limit: int = 80) -> str:
    """Return the text of an object on one line and cut to a length, for a message.

    Args:
        text: A string, or any object that has a ``repr``.
        limit: Maximum number of characters.
    """
    try:
        shown = text if isinstance(text, str) else repr(text)
    except (ValueError, RecursionError):  # such as an integer of thousands of digits
        shown = f'a huge {type(text).__name__}'
    shown = one_line(shown[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 3] + '...'


def xml_text(text: str) -> str:
    """Return a text with the characters that XML 1.0 cannot hold escaped as in Python.

    These are control characters and lone surrogates, even as character references.
    """
    return NOT_XML.sub(lambda found: repr(found[0])[1:-1], str(text))


def csv_row(values: Iterable[Any]) -> List[Any]:
    """Return the cells of a CSV row, for :func:`csv.writer`.

    Text that a spreadsheet would read as a formula, such as a category called
    ``=HYPERLINK(...)``, is prefixed with an apostrophe. Numbers are unchanged.
    """
    return [f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for v in values]


def listing(names: Sequence[Any], limit: int = 10) -> str:
    """Return the number of some names and the first of them, such as ``2 (cat, dog)``."""
    shown = ', '.join(printable(name, 40) for name in names[:limit])
    return f'{len(names)} ({shown}{", ..." if len(names) > limit else ""})'


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless it is 1."""
    return f'{count} {noun}' if count == 1 else f'{count} {noun}s'


def closest(name: object, known: Collection[str], most: int = 1) -> List[str]:
    """Return the known names that are close to a misspelt one, the closest first.

    Args:
        name: The misspelt name.
        known: Names to choose from.
        most: Number of names to return at most; with several, less similar ones are accepted.
    """
    return get_close_matches(str(name), known, n=most, cutoff=0.6 if most == 1 else 0.3)


def suggestion(name: object, known: Collection[str], most: int = 1) -> str:
    """Return "did you mean ...?" with the result of :func:`closest`, or else the known names."""
    names = closest(name, known, most)
    if names:
        return f'did you mean {" or ".join(map(repr, names))}?'
    names = list(known)[:20]
    return f'choose one of {", ".join(names)}{", ..." if len(known) > 20 else ""}'
