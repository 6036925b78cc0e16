"""Reading Pascal VOC XML: one file per image, boxes only."""

import math
import os.path as osp
from pathlib import Path
from typing import Dict, List, Optional
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser, parse

from ...utils.files import leaves_root, open_regular, read_text
from ...utils.images import images_below
from ..findings import Findings
from .split import Split, split_name

CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


def read_voc(root: Path, files: List[Path], findings: Findings) -> List[Split]:
    """Read VOC annotations; splits are the lists in every ``ImageSets/Main``, or folder names.

    Coordinates start at 1, as in VOC, unless one in the data set is 0.

    Args:
        root: Folder that holds everything.
        files: The XML files.
        findings: Receives the faults of the files that are read.
    """
    images: Dict[str, List[Path]] = {}
    for path in images_below(root):
        images.setdefault(path.stem, []).append(path)
    splits = []
    for name, group in _group(root, files, findings).items():
        split = Split(name, str(root), 'voc', str(root))
        for path in group:
            _read_image(split, path, images.get(path.stem, []), findings)
        splits.append(split)
    annotations = [annotation for split in splits for annotation in split.annotations]
    names = sorted({annotation['_name'] for annotation in annotations})
    ids = {name: i for i, name in enumerate(names, start=1)}
    start = 0 if any(0 in annotation['bbox'][:2] for annotation in annotations) else 1
    for annotation in annotations:
        annotation['category_id'] = ids[annotation.pop('_name')]
        x1, y1, x2, y2 = annotation['bbox']
        x1, y1 = x1 - start, y1 - start
        annotation['bbox'] = [x1, y1, x2 - x1, y2 - y1]
        annotation['area'] = abs((x2 - x1) * (y2 - y1))
    for split in splits:
        split.categories = [dict(id=i, name=name) for name, i in ids.items()]
    return splits


def parse_xml(path: Path) -> Element:
    """Parse untrusted XML. A document type is refused, and with it every entity.

    Raises:
        ValueError: If it is not XML, or has a document type.
    """
    try:
        with open_regular(path) as file:
            return parse(file, XMLParser(target=_Builder())).getroot()
    except (ParseError, LookupError) as error:
        raise ValueError(f'is not XML: {error}')


class _Builder(TreeBuilder):
    def doctype(self, name: str, public_id: str, system: str) -> None:
        raise ValueError('declares a document type, which may hide entities; remove it')


def _read_image(split: Split, path: Path, namesakes: List[Path], findings: Findings) -> None:
    """Add the image of an XML file and its objects to a split."""
    try:
        tree = parse_xml(path)
    except (ValueError, OSError) as error:
        findings.error('bad-xml', path, str(error), 'the image is left out')
        return
    image_id = len(split.images) + 1
    file_name = _image_of(path, tree, namesakes, Path(split.image_dir))
    image = dict(id=image_id, file_name=file_name, _place=(str(path), ''))
    for key in ('width', 'height'):
        value = _number(tree.find('size'), key)
        if value is not None and math.isfinite(value):
            image[key] = int(value) if value.is_integer() else value
    split.images.append(image)
    for i, item in enumerate(tree.iter('object'), start=1):
        place = (str(path), f'object {i}')
        name = (item.findtext('name') or '').strip()
        box = [_number(item.find('bndbox'), corner) for corner in CORNERS]
        if not name or None in box:
            missing = 'name' if not name else 'bndbox with four numbers'
            findings.error('bad-entry', place, f'it has no {missing}', 'left out')
            continue
        number = len(split.annotations) + 1
        annotation = dict(id=number, image_id=image_id, bbox=box, iscrowd=0)
        split.annotations.append({**annotation, '_name': name, '_place': place})


def _image_of(path: Path, tree: Element, namesakes: List[Path], root: Path) -> str:
    """Find the image: by <filename> where VOC keeps it or beside, otherwise by the stem."""
    named = (tree.findtext('filename') or '').strip()
    slashed = named.replace('\\', '/')
    if named and leaves_root(named) and not osp.isabs(slashed):
        return named  # reported as leaving the root
    named = slashed.split('/')[-1]
    beside = path.parent.parent
    for folder in (path.parent, beside / 'JPEGImages', beside / 'images'):
        if named and folder.is_relative_to(root) and osp.isfile(folder / named):
            return (folder / named).relative_to(root).as_posix()
    if namesakes:
        nearest = max(namesakes, key=lambda image: len(osp.commonpath([image, path])))
        return nearest.relative_to(root).as_posix()
    return named or f'{path.stem}.jpg'


def _group(root: Path, files: List[Path], findings: Findings) -> Dict[str, List[Path]]:
    """Return the files of each split."""
    splits: Dict[str, List[Path]] = {}
    for folder in sorted(root.rglob('ImageSets/Main')):
        lists = {path.stem: path for path in sorted(folder.glob('*.txt'))}
        lists.setdefault('train', lists.get('trainval'))
        by_stem = {path.stem: path for path in files if path.is_relative_to(folder.parents[1])}
        for name in ('train', 'val', 'test'):
            if lists.get(name):
                listed = _listed(lists[name], by_stem, findings)
                splits[name] = [*splits.get(name, ()), *listed]
    for path in files if not splits else ():
        name = split_name(path.relative_to(root).parent) or 'all'
        splits.setdefault(name, []).append(path)
    return splits


def _listed(path: Path, by_stem: Dict[str, Path], findings: Findings) -> List[Path]:
    """Return the files that a list names."""
    found = []
    for i, line in enumerate(_lines(path, findings), start=1):
        stem = line.split()[0] if line.split() else ''
        if stem in by_stem:
            found.append(by_stem[stem])
        elif stem:
            place = (str(path), f'line {i}')
            findings.error('missing-annotation', place, f"there is no '{stem}.xml'", 'left out')
    return found


def _lines(path: Path, findings: Findings) -> List[str]:
    try:
        return read_text(path).splitlines()
    except (OSError, UnicodeError) as error:
        findings.error('bad-list', path, f'is no list of images: {error}', 'left out')
        return []


def _number(parent: Optional[Element], tag: str) -> Optional[float]:
    try:
        return float(parent.findtext(tag))
    except (AttributeError, TypeError, ValueError):
        return None
