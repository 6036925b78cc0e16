"""Texts out of a stranger's files, as they can stand in a message of one line."""


def printable(text: object, limit: int = 80) -> str:
    """Give a text with line ends and other control characters spelt out, cut to a length.

    Args:
        text: Anything that has a text.
        limit: Characters.
    """
    try:
        shown = text if isinstance(text, str) else repr(text)
    except (ValueError, RecursionError):  # numbers of thousands of digits have none
        shown = f'a huge {type(text).__name__}'
    shown = ''.join(c if c.isprintable() else repr(c)[1:-1] for c in shown[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 3] + '...'
