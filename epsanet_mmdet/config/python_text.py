"""Write values as Python that loads to the same values and executes nothing.

mmengine substitutes variables wherever the text of a config has ``{{``, before it parses it, so
nothing written here contains that. ``Config.pretty_text`` of mmengine (0.10.7), which every
training and test dumps into the work folder, escapes neither ``{{`` nor quotes in keys;
:func:`check_names` refuses values that it would change.
"""

import keyword
import math
import re
import textwrap
import unicodedata
from typing import Any, Dict, List, Tuple

from ..errors import ConfigError
from ..utils.text import printable

WIDTH = 100


class Name(str):
    """A variable or expression, written without quotes."""


def config_text(values: Dict[str, Any]) -> str:
    """Return the text of a config without bases.

    Raises:
        ConfigError: If a name is not that of a variable, or for a value that :func:`write` refuses.
    """
    for name in values:
        if not _is_variable(name):
            raise ConfigError(f'{printable(name)} cannot be the name of a variable in a config')
    return ''.join(f'{k} = {write(v, used=len(k) + 3)}\n' for k, v in values.items())


def write(value: Any, indent: int = 0, used: int = 0) -> str:
    """Return a value as Python, on several lines if it does not fit on one.

    Args:
        value: None, numbers, strings, bytes, and dicts, lists, tuples and sets of them.
        indent: Indentation of the first line.
        used: Number of other characters on the first line.

    Raises:
        ConfigError: If it is of another type.
    """
    line = _one_line(value)
    if len(line) + indent + used <= WIDTH or not isinstance(value, (dict, list, tuple)):
        return line
    opening, closing, items = _parts(value)
    pad = ' ' * (indent + 4)
    lines = [f'{pad}{prefix}{write(v, indent + 4, len(prefix) + 1)},' for prefix, v in items]
    return '\n'.join([opening, *lines, ' ' * indent + closing])


def comment(text: str) -> str:
    """Return a text as comment lines, without the line breaks that names in it may hold."""
    text = ''.join(c if c.isprintable() else '?' for c in text)
    return textwrap.fill(
        re.sub(r'\{(?=\{)', '{ ', text),
        WIDTH,
        initial_indent='# ',
        subsequent_indent='# ',
        break_on_hyphens=False,
        break_long_words=False,
    )


def check_names(value: Any, source: str, place: str = '') -> None:
    """Check that mmengine's dump of a config loads to the same names and executes nothing.

    Args:
        value: Values of a config.
        source: The file that they come from.
        place: Their key in the config.

    Raises:
        ConfigError: If a name would be read as something else; it names the file and the name.
    """
    if isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str) and not _is_dumped_unchanged(key):
                _refuse(source, place, key, 'it has quotes, braces or control characters')
            check_names(item, source, f'{place}.{key}'.lstrip('.'))
    elif '{{' in str(value):
        _refuse(source, place, value, "mmengine reads '{{' as the beginning of a variable")


def _refuse(source: str, place: str, name: Any, why: str) -> None:
    where = f' at {printable(place)}' if place else ''
    raise ConfigError(
        f"'{source}' has the name {printable(repr(name), 120)}{where}, which a config cannot "
        f'hold: {why}; rename it'
    )


def _is_dumped_unchanged(key: str) -> bool:
    if key.isidentifier():
        return _is_variable(key)
    return repr(key) == f"'{key}'" and '{{' not in key


def _is_variable(name: str) -> bool:
    """Return whether Python reads a name as the same name, which NFKC may change."""
    same = unicodedata.normalize('NFKC', name) == name
    return name.isidentifier() and same and not keyword.iskeyword(name)


def _one_line(value: Any) -> str:
    if isinstance(value, (dict, list, tuple)):
        opening, closing, items = _parts(value)
        line = ', '.join(prefix + _one_line(item) for prefix, item in items)
        comma = ',' if isinstance(value, tuple) and len(items) == 1 else ''
        return f'{opening}{line}{comma}{closing}'
    if isinstance(value, (set, frozenset)):
        return f'set({_one_line(sorted(value, key=repr))})'
    if value is None or isinstance(value, Name):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{float(value)}')"
    for kind in (bool, int, float, str, bytes):
        if isinstance(value, kind):  # subclasses, such as NumPy's numbers, have their own repr
            return repr(kind(value)).replace('{{', '{\\x7b')
    raise ConfigError(f'{printable(value)} is no value that a config can hold')


def _parts(value: Any) -> Tuple[str, str, List[Tuple[str, Any]]]:
    """Return a container's brackets, and its items with the text before each."""
    if not isinstance(value, dict):
        brackets = '[]' if isinstance(value, list) else '()'
        return brackets[0], brackets[1], [('', item) for item in value]
    if all(isinstance(key, str) and _is_variable(key) for key in value):
        return 'dict(', ')', [(f'{key}=', item) for key, item in value.items()]
    return '{', '}', [(f'{_one_line(key)}: ', item) for key, item in value.items()]
