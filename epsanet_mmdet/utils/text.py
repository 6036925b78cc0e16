"""Texts out of untrusted files, as they can stand in a message of one line."""

import unicodedata


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
