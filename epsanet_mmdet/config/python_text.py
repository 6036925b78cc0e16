"""Values as Python text that loads to the same values and runs nothing.

mmengine puts variables in wherever the text of a config has ``{{``, before it parses it. So no text
written here has that, and :func:`check_names` refuses values that mmengine itself would write so:
its ``Config.pretty_text`` (0.10.7), which every training and test dumps into the work folder, does
not escape ``{{``, nor quotes in keys.
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
    """A variable of the config, written as it is."""


def config_text(values: Dict[str, Any]) -> str:
    """Write a config without bases."""
    return ''.join(f'{assign(name, value)}\n' for name, value in values.items())


def assign(name: str, value: Any) -> str:
    """Write an assignment.

    Raises:
        ConfigError: If the name is none of a variable.
    """
    if not _is_variable(name):
        raise ConfigError(f'{printable(name)} cannot be the name of a variable in a config')
    return f'{name} = {write(value, used=len(name) + 3)}'


def write(value: Any, indent: int = 0, used: int = 0, width: float = WIDTH) -> str:
    """Write a value as Python, over several lines if one is too short.

    Args:
        value: None, numbers, strings, bytes, and dicts, lists, tuples and sets of them.
        indent: Of the line that it begins on.
        used: Characters before and after it on that line.
        width: Characters of a line.

    Raises:
        ConfigError: If it is of another type.
    """
    if not isinstance(value, (dict, list, tuple)):
        return _scalar(value)
    opening, closing, items = _parts(value)
    line = ', '.join(prefix + write(item, width=math.inf) for prefix, item in items)
    comma = ',' if isinstance(value, tuple) and len(items) == 1 else ''
    line = f'{opening}{line}{comma}{closing}'
    if len(line) + indent + used <= width:
        return line
    pad = ' ' * (indent + 4)
    lines = [f'{pad}{pre}{write(item, indent + 4, len(pre) + 1)},' for pre, item in items]
    return '\n'.join([opening, *lines, ' ' * indent + closing])


def comment(text: str) -> str:
    """Write a text as comment lines; names in it may hold line breaks, which it must not end at."""
    text = ''.join(c if c.isprintable() else '?' for c in text)
    return textwrap.fill(
        re.sub(r'\{(?=\{)', '{ ', text),
        WIDTH,
        initial_indent='# ',
        subsequent_indent='# ',
        break_on_hyphens=False,
        break_long_words=False,
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


def check_names(value: Any, source: str, place: str = '') -> None:
    """Check that mmengine's own dump of a config loads to the same names and runs nothing.

    Args:
        value: A config's values, or some of them.
        source: The file that they are from.
        place: Their key in the config.

    Raises:
        ConfigError: Naming the file and the name that would be read as something else.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            inside = f'{place}.{key}'.lstrip('.')
            if isinstance(key, str) and not _is_dumped_as_it_is(key):
                _refuse(source, place, key, 'it has quotes, braces or control characters')
            check_names(item, source, inside)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            check_names(item, source, f'{place}.{i}'.lstrip('.'))
    elif '{{' in str(value):
        _refuse(source, place, value, "mmengine reads '{{' as the beginning of a variable")


def _refuse(source: str, place: str, name: Any, why: str) -> None:
    where = f' at {printable(place)}' if place else ''
    raise ConfigError(
        f"'{source}' has the name {printable(repr(name), 120)}{where}, which a config cannot "
        f'hold: {why}; rename it'
    )


def _is_dumped_as_it_is(key: str) -> bool:
    if key.isidentifier():
        return _is_variable(key)
    return repr(key) == f"'{key}'" and '{{' not in key


def _is_variable(name: str) -> bool:
    """Return whether Python reads a name as the same name, which NFKC may change."""
    same = unicodedata.normalize('NFKC', name) == name
    return name.isidentifier() and same and not keyword.iskeyword(name)


def _parts(value: Any) -> Tuple[str, str, List[Tuple[str, Any]]]:
    """Return a container's brackets, and its items with what stands before each."""
    if not isinstance(value, dict):
        brackets = '[]' if isinstance(value, list) else '()'
        return brackets[0], brackets[1], [('', item) for item in value]
    if all(isinstance(key, str) and _is_variable(key) for key in value):
        return 'dict(', ')', [(f'{key}=', item) for key, item in value.items()]
    return '{', '}', [(f'{write(key, width=math.inf)}: ', item) for key, item in value.items()]


def _scalar(value: Any) -> str:
    if isinstance(value, Name):
        return str(value)
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else f"float('{float(value)}')"
    if isinstance(value, (str, bytes)):
        plain = str(value) if isinstance(value, str) else bytes(value)
        return repr(plain).replace('{{', '{\\x7b')
    if isinstance(value, (set, frozenset)):
        return f'set({write(sorted(value, key=repr), width=math.inf)})'
    raise ConfigError(f'{printable(value)} is no value that a config can hold')
