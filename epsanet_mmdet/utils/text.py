"""Texts of one-line messages: untrusted ones made printable, and suggestions for misspelt names."""

import unicodedata
from difflib import get_close_matches
from typing import Collection, List


def one_line(text: str) -> str:
    """Spell out line ends and other control characters."""
    if text.isprintable():
        return text
    return ''.join(
        c if c.isprintable() or unicodedata.category(c) == 'Zs' else repr(c)[1:-1] for c in text
    )


def printable(text: object, limit: int = 80) -> str:
    """Return a text as :func:`one_line`, cut to a length.

    Args:
        text: Anything that has a text.
        limit: Characters.
    """
    try:
        shown = text if isinstance(text, str) else repr(text)
    except (ValueError, RecursionError):  # numbers of thousands of digits have none
        shown = f'a huge {type(text).__name__}'
    shown = one_line(shown[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 3] + '...'


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
