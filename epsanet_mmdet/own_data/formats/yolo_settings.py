"""Reading ``data.yaml``, the settings of a YOLO data set."""

import os.path as osp
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple

import yaml

from ...utils.files import is_inside, read_text
from ...utils.images import images_below
from ...utils.text import printable
from ..findings import Findings

LARGEST = 2**19  # characters, which take PyYAML seconds

Settings = Tuple[Path, Dict[str, List[str]], Dict[int, str]]


def read_settings(path: Path, findings: Findings, image_dir: Optional[str]) -> Settings:
    """Read settings.

    Args:
        path: ``data.yaml``.
        findings: Receives its faults.
        image_dir: A folder that it may take images from, beside its own.

    Returns:
        The folder that images are relative to, the images of each split, and the classes' names.
    """
    try:
        content = load_yaml(path)
    except (ValueError, OSError) as error:
        findings.error('bad-yaml', path, str(error))
        return path.parent, {}, {}
    if not isinstance(content, dict):
        findings.error('bad-yaml', path, 'it has no train, val and names')
        return path.parent, {}, {}
    root = _root(content.get('path'), path, image_dir, findings)
    groups = {}
    for name in ('train', 'val', 'test'):
        entry = content.get(name) or (content.get('valid') if name == 'val' else None)
        if entry:
            entries = entry if isinstance(entry, list) else [entry]
            seen: Set[Path] = set()
            found = [f for e in entries for f in _images(root, e, path, findings, seen)]
            groups[name] = list(dict.fromkeys(found))  # a file that is listed twice is one
    if not groups:
        findings.error('bad-yaml', path, 'it names no train or val images')
    return root, groups, _class_names(content, path, findings)


def load_yaml(path: Path):
    """Read YAML.

    Raises:
        ValueError: If it is not YAML, or too large for settings.
        OSError: If it cannot be read.
    """
    content = read_text(path)
    if len(content) > LARGEST:
        raise ValueError(f'it has {len(content)} characters: too many for settings')
    try:
        return yaml.load(content, _AliasFreeLoader)
    except Exception as error:  # besides YAMLError, what Python's numbers and dates raise
        raise ValueError(f'is not YAML: {printable(str(error), 200)}')


class _AliasFreeLoader(yaml.SafeLoader):
    """Refuse references, by which a few lines grow into an endless merge."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError('it has references (*name), which are not read')
        return super().compose_node(parent, index)


def relative(path: Path, root: Path) -> str:
    """Return a path relative to the root, with forward slashes."""
    return Path(osp.relpath(path, root)).as_posix()


def _root(named, settings: Path, image_dir: Optional[str], findings: Findings) -> Path:
    """Return the folder that images are relative to, which is inside one of the allowed ones."""
    own = settings.parent
    options = [osp.normpath(own / named), osp.normpath(named)] if isinstance(named, str) else []
    found = next(filter(osp.isdir, options), None)
    if found is None:
        return Path(image_dir or own)
    if any(is_inside(found, folder) for folder in (own, image_dir) if folder):
        return Path(found)
    findings.error(
        'outside-root',
        settings,
        f"its path '{printable(named)}' leaves '{own}'; if these are the images, add --images "
        f'{printable(found)}',
        'not used',
    )
    return own


def _images(root: Path, entry, settings: Path, findings: Findings, seen: Set[Path]) -> List[str]:
    """Return the images in a folder or list file, unless it is among those seen."""
    if not isinstance(entry, str):
        findings.error('bad-yaml', settings, 'train, val and test must be folders or list files')
        return []
    options = [root / entry, settings.parent / entry, root / entry.removeprefix('../')]
    there = [Path(osp.normpath(option)) for option in options if osp.exists(option)]
    found = next((o for o in there if is_inside(o, root) or is_inside(o, settings.parent)), None)
    shown = f"'{printable(entry)}'"
    if found is None and there:
        findings.error('outside-root', settings, f"{shown} leaves '{root}'", 'not used')
    elif found is None:
        findings.error('bad-yaml', settings, f'the images {shown} do not exist')
    if found is None or found in seen:
        return []
    seen.add(found)
    if found.is_dir():
        return [relative(image, root) for image in images_below(found)]
    try:
        lines = read_text(found, errors='replace').splitlines()
    except OSError as error:
        findings.error('bad-yaml', settings, f'{shown} is no list: {error.strerror}')
        return []
    names = []
    for line in filter(None, map(str.strip, lines)):
        options = [folder / line for folder in (root, found.parent)]
        names.append(relative(next(filter(osp.exists, options), options[0]), root))
    return names


def _class_names(content: Dict, path: Path, findings: Findings) -> Dict[int, str]:
    names = content.get('names')
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(
        isinstance(key, (int, str)) and str(key).isdigit() and isinstance(name, (str, int, float))
        for key, name in names.items()
    ):
        findings.error('bad-yaml', path, "it has no list or numbered table 'names'")
        return {}
    count = content.get('nc')
    if count is not None and count != len(names):
        findings.warning('bad-yaml', path, f'nc is {count}, but there are {len(names)} names')
    return {int(key): str(name) for key, name in names.items()}
