"""Writing values as Python in a config."""

import textwrap
from typing import Dict, List

WIDTH = 100


class Name(str):
    """A variable of the config, written as it is."""


def write(value, indent: int = 0, used: int = 0) -> str:
    """Write a value as Python, over several lines if one is too short.

    Args:
        value: Dicts, lists, tuples, texts, numbers.
        indent: Of the line that it begins on.
        used: Characters before and after it on that line.
    """
    line = _one_line(value)
    if len(line) + indent + used <= WIDTH or not isinstance(value, (dict, list, tuple)):
        return line
    pad = ' ' * (indent + 4)
    if isinstance(value, dict):
        items = [
            f'{key}={write(item, indent + 4, len(str(key)) + 2)}' for key, item in value.items()
        ]
        opening, closing = 'dict(', ')'
    else:
        items = [write(item, indent + 4, 1) for item in value]
        opening, closing = ('[', ']') if isinstance(value, list) else ('(', ')')
    return '\n'.join([opening, *(f'{pad}{item},' for item in items), ' ' * indent + closing])


def assign(name: str, value) -> str:
    return f'{name} = {write(value, used=len(name) + 3)}'


def comment(text: str) -> str:
    """Write a text as comment lines; names in it may hold line breaks, which it must not end at."""
    text = ''.join(c if c.isprintable() else '?' for c in text).replace('{{', '{ {')
    return textwrap.fill(
        text, WIDTH, initial_indent='# ', subsequent_indent='# ', break_on_hyphens=False
    )


def nested(values: Dict[str, object]) -> Dict:
    """Turn ``{'a.b': 1}`` into ``{'a': {'b': 1}}``."""
    result: Dict = {}
    for key, value in values.items():
        *path, last = key.split('.')
        target = result
        for part in path:
            target = target.setdefault(part, {})
        target[last] = value
    return result


def _one_line(value) -> str:
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return f'dict({", ".join(f"{key}={_one_line(item)}" for key, item in value.items())})'
    if isinstance(value, (list, tuple)):
        items: List[str] = [_one_line(item) for item in value]
        if isinstance(value, list):
            return f'[{", ".join(items)}]'
        return f'({", ".join(items)}{"," if len(items) == 1 else ""})'
    return repr(value)


def _text(value: str) -> str:
    return repr(value).replace('{{', '{\\x7b')  # mmengine would put variables there
