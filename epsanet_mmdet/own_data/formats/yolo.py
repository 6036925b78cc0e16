"""Reading YOLO's text labels: ``class x y w h`` or ``class x1 y1 x2 y2 ...``, in image sizes."""

import math
import os.path as osp
from pathlib import Path, PurePath
from typing import Dict, List, Optional, Set, Tuple

import yaml

from ...datasets.findings import Findings
from ...datasets.split import Split, is_inside, leaves_root, split_name
from ...utils.files import read_text
from ...utils.images import SUFFIXES, read_size
from ...utils.text import printable

LARGEST_SETTINGS = 2**19  # characters; seconds of PyYAML
NAMES_FILES = ('classes.txt', 'obj.names', 'names.txt')


def read_yolo(
    root: Path, settings: Optional[Path], findings: Findings, image_dir: Optional[str] = None
) -> List[Split]:
    """Read YOLO labels.

    Args:
        root: Folder that everything lies in.
        settings: ``data.yaml``, or None: then the splits are the folders' names, and the classes
            stand in ``classes.txt`` or are called by their numbers.
        findings: Where faults in reading go.
        image_dir: Folder that ``data.yaml`` may take images from, beside its own.
    """
    if settings:
        root, groups, names = _read_settings(settings, findings, image_dir)
    else:
        groups, names = _group(root), _names_file(root)
    reader = _Reader(root, findings)
    for name, images in groups.items():
        reader.read_split(name, images)
    if names is None:
        highest = max((a['category_id'] for s in reader.splits for a in s.annotations), default=-1)
        names = {i: str(i) for i in range(min(highest, 9999) + 1)}
        findings.warning(
            'no-class-names', root, 'there is no data.yaml or classes.txt: classes are numbers'
        )
    for split in reader.splits:
        split.categories = [dict(id=i, name=name) for i, name in sorted(names.items())]
    return reader.splits


class _Reader:
    def __init__(self, root: Path, findings: Findings) -> None:
        self.root, self.findings = root, findings
        self.splits: List[Split] = []

    def read_split(self, name: str, images: List[str]) -> None:
        split = Split(name, str(self.root), 'yolo', str(self.root))
        self.splits.append(split)
        for file_name in images:
            size = None if leaves_root(file_name) else read_size(split.path_of(file_name))
            image = dict(id=len(split.images) + 1, file_name=file_name)
            image['_place'] = (split.path_of(file_name), '')
            if size:
                image.update(width=size[0], height=size[1])
            split.images.append(image)
            if leaves_root(file_name):
                continue
            label = label_file(self.root, file_name)
            if osp.isfile(label):
                self.read_labels(split, label, size or (1, 1))

    def read_labels(self, split: Split, path: Path, size: Tuple[int, int]) -> None:
        try:
            lines = read_text(path).splitlines()
        except (OSError, UnicodeError) as error:
            self.findings.error('bad-labels', path, f'is not text: {error}', 'left out')
            return
        seen = set()
        for i, line in enumerate(lines, start=1):
            place = (str(path), f'line {i}')
            values = _numbers(line)
            if values == []:
                continue
            fault = _line_fault(values, line)
            if fault:
                self.findings.error('bad-line', place, fault, 'left out')
                continue
            if line in seen:
                self.findings.warning('repeated-line', place, 'the same line stands above')
            seen.add(line)
            annotation = _geometry(values[1:], *size)
            annotation.update(
                id=len(split.annotations) + 1,
                image_id=split.images[-1]['id'],
                category_id=int(values[0]),
                iscrowd=0,
                _place=place,
            )
            split.annotations.append(annotation)


def label_file(root: Path, image: str) -> Path:
    """Find the labels of an image: in ``labels`` beside its ``images``, or beside itself.

    Args:
        root: The data's folder. What its own path is called does not matter.
        image: File name in it.
    """
    parts = list(PurePath(image).parts)
    beside = (root / image).with_suffix('.txt')
    for i in range(len(parts) - 2, -1, -1):
        if parts[i].lower() == 'images':
            parts[i] = 'labels'
            label = root.joinpath(*parts).with_suffix('.txt')
            return label if osp.isfile(label) else beside
    return beside if osp.isfile(beside) else beside.parent / 'labels' / beside.name


def _numbers(line: str) -> Optional[List[float]]:
    try:
        return [float(value) for value in line.split()]
    except ValueError:
        return None


def _line_fault(values: Optional[List[float]], line: str) -> str:
    if values is None or not all(map(math.isfinite, values)):
        return f"'{printable(line, 60)}' is not numbers"
    if values[0] < 0 or not values[0].is_integer():
        return f'the class {values[0]:g} is not a whole number'
    if len(values) == 6:
        return 'it has six values: box labels have five, these may be predictions'
    if len(values) == 5:
        return ''
    if len(values) < 7 or len(values) % 2 == 0:
        return (
            f'it has {len(values)} values: a box has five, a polygon of at least three points an '
            'odd number from seven'
        )
    return ''


def _geometry(values: List[float], width: int, height: int) -> Dict:
    if len(values) == 4:
        x, y, w, h = values
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        segmentation = {}
    else:
        xs, ys = [x * width for x in values[::2]], [y * height for y in values[1::2]]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        polygon = [round(value, 2) for point in zip(xs, ys) for value in point]
        segmentation = dict(segmentation=[polygon])
    box = [round(value, 2) for value in box]
    return dict(bbox=box, area=_area(box, segmentation), **segmentation)


def _area(box: List[float], segmentation: Dict) -> float:
    if not segmentation:
        return abs(box[2] * box[3])
    polygon = segmentation['segmentation'][0]
    xs, ys = polygon[::2], polygon[1::2]
    twice = sum(x * v - u * y for x, y, u, v in zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1]))
    return abs(twice) / 2


class _AliasFreeLoader(yaml.SafeLoader):
    """Refuses references, by which a few lines grow into a merge without end."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError('it has references (*name), which are not read')
        return super().compose_node(parent, index)


def load_yaml(path: Path):
    """Read YAML.

    Raises:
        ValueError: If it is not YAML, or larger than settings are.
        OSError: If it cannot be read.
    """
    content = read_text(path)
    if len(content) > LARGEST_SETTINGS:
        raise ValueError(f'it has {len(content)} characters: no settings have')
    try:
        return yaml.load(content, _AliasFreeLoader)
    except Exception as error:  # numbers and dates raise what Python's do
        raise ValueError(f'is not YAML: {printable(str(error), 200)}')


def _read_settings(path: Path, findings: Findings, image_dir: Optional[str]):
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
            places = entry if isinstance(entry, list) else [entry]
            seen: Set[Path] = set()
            found = [f for p in places for f in _images(root, p, path, findings, seen)]
            groups[name] = list(dict.fromkeys(found))  # a file that is named twice is one
    if not groups:
        findings.error('bad-yaml', path, 'it names no train or val images')
    return root, groups, _class_names(content, path, findings)


def _root(named, settings: Path, image_dir: Optional[str], findings: Findings) -> Path:
    """Return the folder that images are relative to, which lies where it may."""
    own = settings.parent
    if not isinstance(named, str):
        return Path(image_dir or own)
    options = [osp.normpath(own / named), osp.normpath(named)]
    found = next((option for option in options if osp.isdir(option)), None)
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
    """List the images in a folder or list file, if it is not among those seen."""
    if not isinstance(entry, str):
        findings.error('bad-yaml', settings, 'train, val and test must be folders or list files')
        return []
    options = [root / entry, settings.parent / entry, root / entry.removeprefix('../')]
    there = [Path(osp.normpath(option)) for option in options if osp.exists(option)]
    found = next((o for o in there if is_inside(o, root) or is_inside(o, settings.parent)), None)
    if there and found is None:
        findings.error(
            'outside-root', settings, f"'{printable(entry)}' leaves '{root}'", 'not used'
        )
        return []
    if found is None:
        findings.error('bad-yaml', settings, f"the images '{printable(entry)}' do not exist")
        return []
    if found in seen:
        return []
    seen.add(found)
    if found.is_dir():
        return [_relative(image, root) for image in _images_in(found)]
    try:
        lines = read_text(found, errors='replace').splitlines()
    except OSError as error:
        findings.error('bad-yaml', settings, f"'{printable(entry)}' is no list: {error.strerror}")
        return []
    names = []
    for line in filter(None, map(str.strip, lines)):
        inside = root / line
        if not osp.exists(inside) and osp.exists(found.parent / line):
            inside = found.parent / line
        names.append(_relative(inside, root))
    return names


def _relative(path: Path, root: Path) -> str:
    return Path(osp.relpath(path, root)).as_posix()


def _images_in(folder: Path) -> List[Path]:
    return sorted(p for p in folder.rglob('*') if p.suffix.lower() in SUFFIXES and p.is_file())


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


def _group(root: Path) -> Dict[str, List[str]]:
    groups: Dict[str, List[str]] = {}
    images = _images_in(root)
    for image in images:
        name = split_name(image.relative_to(root).parent) or 'all'
        groups.setdefault(name, []).append(_relative(image, root))
    stems = {image.stem for image in images}
    for label in sorted(root.rglob('*.txt')):  # labels without an image
        place = label.relative_to(root)
        if 'labels' in place.parts and label.stem not in stems:
            guess = Path(*('images' if part == 'labels' else part for part in place.parts))
            name = split_name(place.parent) or 'all'
            groups.setdefault(name, []).append(guess.with_suffix('.jpg').as_posix())
    return groups


def _names_file(root: Path) -> Optional[Dict[int, str]]:
    for folder in (root, root / 'labels', root / 'data'):
        for name in NAMES_FILES:
            if (folder / name).is_file():
                lines = read_text(folder / name, errors='replace').splitlines()
                return dict(enumerate(line.strip() for line in lines if line.strip()))
    return None
