"""Reading plan files; an error is one line in the words of the file."""

import re
from pathlib import Path
from typing import Any, Dict, Optional

import msgspec
import yaml

from ..config.load import configs_dir, find_file
from ..errors import ConfigError
from ..utils.text import printable, suggestion
from .plan import Comparison, Data, Launcher, Plan, Report, Training, Variant

GROUP = ('rows', 'baseline', 'allow')  # keys of a plan that is a single comparison
PARTS = dict(
    comparisons=Comparison,
    rows=Variant,
    data=Data,
    training=Training,
    launcher=Launcher,
    report=Report,
)
# from the names of JSON, which msgspec uses
TYPES = {
    'array': 'a list',
    'object': 'a mapping',
    'str': 'a text',
    'int': 'a whole number',
    'float': 'a number',
    'bool': 'true or false',
    ' | null': '',
    ' | ': ' or ',
    '`': '',
}


def plans_dir() -> Path:
    """Return the folder of the shipped plans."""
    return configs_dir() / 'plans'


def find_plan(name: str) -> Path:
    """Return the path of a plan, from its path or from the bare name of a shipped one.

    Raises:
        ConfigError: If there is no such plan; it suggests the closest names.
    """
    return Path(find_file(name, 'plan', plans_dir().glob('*.yml')))


def read_plan(name: str, changes: Optional[Dict[str, Any]] = None) -> Plan:
    """Read and check a plan; its configs are searched for, but not read.

    Args:
        name: Path, or bare name of a shipped plan.
        changes: Values by dotted key, such as ``data.root``, that replace those of the file.
            ``weights`` also replaces the weights of single variants.

    Raises:
        ConfigError: One line that names the plan, what is wrong with it, and the remedy.
    """
    path, changes = find_plan(name), changes or {}
    content = _read_yaml(path)
    if 'detector' in changes and 'detector' not in content:
        raise ConfigError(
            f"plan '{path}' has no 'detector' to replace, since its rows name whole configs; leave "
            'out --detector'
        )
    for key, value in changes.items():
        part, _, last = key.rpartition('.')
        target = content.setdefault(part, {}) if part else content
        if isinstance(target, dict):  # msgspec refuses it otherwise
            target[last] = value
    group = {key: content.pop(key) for key in GROUP if key in content}
    if group and 'comparisons' in content:
        raise ConfigError(
            f"plan '{path}': it has both 'comparisons' and '{next(iter(group))}'; keep one of them"
        )
    single = 'comparisons' not in content
    content.setdefault('comparisons', [group])
    try:
        if 'name' in content:
            raise msgspec.ValidationError('Object contains unknown field `name`')
        plan = msgspec.convert(content, Plan)
    except msgspec.ValidationError as error:
        raise ConfigError(f"plan '{path}': {_describe(str(error), content, single)}")
    plan.name = path.stem
    plan.title = str(plan.title or plan.name)
    if 'weights' in changes:
        for variant in plan.variants:
            variant.weights = None
    return plan


def _read_yaml(path: Path) -> Dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, 'problem_mark', None)
        where = f' in line {mark.line + 1}' if mark else ''
        reason = getattr(error, 'problem', None) or str(error).splitlines()[0]
        raise ConfigError(f"plan '{path}' is not YAML{where}: {reason}; correct it there")
    if not isinstance(content, dict):
        raise ConfigError(f"plan '{path}' has no 'key: value' lines; see docs/reproduce.md")
    return {key: value for key, value in content.items() if value is not None}


def _describe(error: str, content: Dict[str, Any], single: bool) -> str:
    """Return an error of msgspec in the words of a plan, with the wrong value."""
    reason, place = re.fullmatch(r'(.*?)(?: - at .*?`\$\.?([^`]*)`)?', error, re.DOTALL).groups('')
    value = content
    for key in re.findall(r'\w+', place):
        value = value[int(key) if key.isdigit() else key]
    place = re.sub(r'^comparisons\[0\]\.?', '', place) if single else place
    subject = f"'{place}'" if place else 'it'
    if found := re.fullmatch('Object missing required field `(.*)`', reason):
        return f"{subject} has no '{found[1]}'; see docs/reproduce.md"
    if found := re.fullmatch('Object contains unknown field `(.*)`', reason, re.DOTALL):
        return _unknown_key(place, found[1])
    if reason.startswith('Expected'):
        expected = reason.removeprefix('Expected ').partition(', got ')[0]
        for json_name, name in TYPES.items():
            expected = expected.replace(json_name, name)
        return f'{subject} is {printable(value)}; it must be {expected}'
    return f'{place}: {reason}' if place else reason


def _unknown_key(place: str, key: str) -> str:
    part = PARTS.get((re.findall(r'[a-z]\w*', place) or [''])[-1], Plan)
    known = list(part.__struct_encode_fields__)
    if part is Plan:
        known = [*GROUP, *known]
        known.remove('name')
    return f"it has an unknown key '{f'{place}.{key}'.lstrip('.')}'; {suggestion(key, known)}"
