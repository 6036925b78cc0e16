"""Reading YOLO labels: ``class x y w h`` or ``class x1 y1 x2 y2 ...``, relative to the image."""

import math
import os.path as osp
from pathlib import Path, PurePath
from typing import Dict, List, Optional, Tuple

from ...utils.files import leaves_root, read_text
from ...utils.images import images_below, read_size
from ...utils.text import printable
from ..findings import Findings
from .split import Split, split_name
from .yolo_settings import read_settings, relative

NAMES_FILES = ('classes.txt', 'obj.names', 'names.txt')


def read_yolo(
    root: Path, settings: Optional[Path], findings: Findings, image_dir: Optional[str] = None
) -> List[Split]:
    """Read YOLO labels.

    Args:
        root: Folder that holds everything.
        settings: ``data.yaml``; None if there is none: then folder names are the splits, and the
            classes are in ``classes.txt`` or called by their numbers.
        findings: Receives the faults of the files that are read.
        image_dir: A further folder that ``data.yaml`` may take images from.
    """
    if settings:
        root, groups, names = read_settings(settings, findings, image_dir)
    else:
        groups, names = _group(root), _names_file(root)
    splits = []
    for name, images in groups.items():
        split = Split(name, str(root), 'yolo', str(root))
        for file_name in images:
            _read_image(split, root, file_name, findings)
        splits.append(split)
    if names is None:
        highest = max((a['category_id'] for s in splits for a in s.annotations), default=-1)
        names = {i: str(i) for i in range(min(highest, 9999) + 1)}
        message = 'there is no data.yaml or classes.txt: classes are numbers'
        findings.warning('no-class-names', root, message)
    for split in splits:
        split.categories = [dict(id=i, name=name) for i, name in sorted(names.items())]
    return splits


def label_file(root: Path, image: str) -> Path:
    """Find the labels of an image: in ``labels`` beside its ``images``, or beside itself.

    Args:
        root: Folder of the data. The names in its own path do not matter.
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


def _read_image(split: Split, root: Path, file_name: str, findings: Findings) -> None:
    """Add an image and its labels to a split."""
    path = split.path_of(file_name)
    image = dict(id=len(split.images) + 1, file_name=file_name, _place=(path, ''))
    split.images.append(image)
    if leaves_root(file_name):
        return
    size = read_size(path)
    if size:
        image.update(width=size[0], height=size[1])
    label = label_file(root, file_name)
    if osp.isfile(label):
        _read_labels(split, label, size or (1, 1), findings)


def _read_labels(split: Split, path: Path, size: Tuple[int, int], findings: Findings) -> None:
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeError) as error:
        findings.error('bad-labels', path, f'is not text: {error}', 'left out')
        return
    seen = set()
    for i, line in enumerate(lines, start=1):
        place = (str(path), f'line {i}')
        values = _numbers(line)
        if values == []:
            continue
        fault = _line_fault(values, line)
        if fault:
            findings.error('bad-line', place, fault, 'left out')
            continue
        if line in seen:
            findings.warning('repeated-line', place, 'an earlier line is identical')
        seen.add(line)
        annotation = dict(
            id=len(split.annotations) + 1,
            image_id=split.images[-1]['id'],
            category_id=int(values[0]),
            iscrowd=0,
            _place=place,
        )
        split.annotations.append({**annotation, **_geometry(values[1:], *size)})


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
    if len(values) != 5 and (len(values) < 7 or len(values) % 2 == 0):
        return (
            f'it has {len(values)} values: a box has five, a polygon of at least three points an '
            'odd number from seven'
        )
    return ''


def _geometry(values: List[float], width: int, height: int) -> Dict:
    """Return box, area and, for a polygon, segmentation in pixels."""
    if len(values) == 4:
        x, y, w, h = values
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        box = [round(value, 2) for value in box]
        return dict(bbox=box, area=abs(box[2] * box[3]))
    xs, ys = [x * width for x in values[::2]], [y * height for y in values[1::2]]
    box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    xs, ys = [round(x, 2) for x in xs], [round(y, 2) for y in ys]
    twice = sum(x * v - u * y for x, y, u, v in zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1]))
    polygon = [value for point in zip(xs, ys) for value in point]
    box = [round(value, 2) for value in box]
    return dict(bbox=box, area=abs(twice) / 2, segmentation=[polygon])


def _group(root: Path) -> Dict[str, List[str]]:
    """Return the images of each split, and names of those that are missing beside labels."""
    groups: Dict[str, List[str]] = {}
    images = images_below(root)
    for image in images:
        name = split_name(image.relative_to(root).parent) or 'all'
        groups.setdefault(name, []).append(relative(image, root))
    stems = {image.stem for image in images}
    for label in sorted(root.rglob('*.txt')):
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
