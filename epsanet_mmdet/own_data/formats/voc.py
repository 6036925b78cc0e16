"""Reading Pascal VOC's XML: one file an image, boxes only."""

import math
import os.path as osp
from pathlib import Path
from typing import Dict, List, Optional
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser, parse

from ...datasets.findings import Findings
from ...datasets.split import Split, leaves_root, split_name
from ...utils.files import open_regular, read_text
from ...utils.images import SUFFIXES

CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


def read_voc(root: Path, files: List[Path], findings: Findings) -> List[Split]:
    """Read VOC annotations, by the lists in ``ImageSets/Main`` or the folders' names as splits.

    Coordinates count from 1, as VOC's do, unless one in the data set is 0.

    Args:
        root: Folder that everything lies in.
        files: The XML files.
        findings: Where faults in reading go.
    """
    images = {}
    for path in sorted(root.rglob('*')):
        if path.suffix.lower() in SUFFIXES:
            images.setdefault(path.stem, []).append(path)
    reader = _Reader(root, images, findings)
    for name, group in _splits(root, files, findings).items():
        reader.read_split(name, group)
    classes = sorted(
        {annotation['_name'] for split in reader.splits for annotation in split.annotations}
    )
    ids = {name: i for i, name in enumerate(classes, start=1)}
    from_zero = any(
        0 in annotation['bbox'][:2] for split in reader.splits for annotation in split.annotations
    )
    for split in reader.splits:
        split.categories = [dict(id=i, name=name) for name, i in ids.items()]
        for annotation in split.annotations:
            annotation['category_id'] = ids[annotation.pop('_name')]
            x1, y1, x2, y2 = annotation['bbox']
            shift = 0 if from_zero else 1
            x1, y1 = x1 - shift, y1 - shift
            annotation['bbox'] = [x1, y1, x2 - x1, y2 - y1]
            annotation['area'] = abs((x2 - x1) * (y2 - y1))
    return reader.splits


def parse_xml(path: Path) -> Element:
    """Parse untrusted XML: a document type, and so every entity, is refused.

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
        raise ValueError('declares a document type, which may hide entities; take it out')


class _Reader:
    def __init__(self, root: Path, images: Dict[str, List[Path]], findings: Findings) -> None:
        self.root, self.images, self.findings = root, images, findings
        self.splits: List[Split] = []

    def read_split(self, name: str, files: List[Path]) -> None:
        split = Split(name, str(self.root), 'voc', str(self.root))
        self.splits.append(split)
        for path in files:
            try:
                tree = parse_xml(path)
            except (ValueError, OSError) as error:
                self.findings.error('bad-xml', path, str(error), 'the image is left out')
                continue
            image = dict(
                id=len(split.images) + 1,
                file_name=self.image_of(path, tree),
                _place=(str(path), ''),
            )
            size = tree.find('size')
            for key in ('width', 'height'):
                value = _number(size, key)
                if value is not None and math.isfinite(value):
                    image[key] = int(value) if value.is_integer() else value
            split.images.append(image)
            for i, item in enumerate(tree.iter('object'), start=1):
                self.read_object(split, item, (str(path), f'object {i}'))

    def read_object(self, split: Split, item: Element, place) -> None:
        name = (item.findtext('name') or '').strip()
        box = [_number(item.find('bndbox'), corner) for corner in CORNERS]
        if not name or None in box:
            missing = 'name' if not name else 'bndbox with four numbers'
            self.findings.error('bad-entry', place, f'it has no {missing}', 'left out')
            return
        split.annotations.append(
            dict(
                id=len(split.annotations) + 1,
                image_id=split.images[-1]['id'],
                bbox=box,
                iscrowd=0,
                _name=name,
                _place=place,
            )
        )

    def image_of(self, path: Path, tree: Element) -> str:
        """Find the image: by <filename> where VOC keeps it or beside, otherwise by the stem."""
        named = (tree.findtext('filename') or '').strip()
        if named and leaves_root(named) and not osp.isabs(named.replace('\\', '/')):
            return named  # reported as leaving the root
        named = named.replace('\\', '/').split('/')[-1] if named else ''
        for folder in (
            path.parent,
            path.parent.parent / 'JPEGImages',
            path.parent.parent / 'images',
        ):
            if named and osp.isfile(folder / named):
                return (folder / named).relative_to(self.root).as_posix()
        found = self.images.get(path.stem, [])
        if found:
            nearest = max(found, key=lambda image: len(osp.commonpath([image, path])))
            return nearest.relative_to(self.root).as_posix()
        return named or f'{path.stem}.jpg'


def _splits(root: Path, files: List[Path], findings: Findings) -> Dict[str, List[Path]]:
    by_stem = {path.stem: path for path in files}
    lists = {p.stem: p for p in sorted((root / 'ImageSets' / 'Main').glob('*.txt'))}
    chosen = {n: lists[n] for n in ('train', 'val', 'test') if n in lists}
    if 'train' not in chosen and 'trainval' in lists:
        chosen['train'] = lists['trainval']
    splits: Dict[str, List[Path]] = {}
    for name, path in chosen.items():
        splits[name] = []
        for i, line in enumerate(_lines(path, findings), start=1):
            stem = line.split()[0] if line.split() else ''
            if stem in by_stem:
                splits[name].append(by_stem[stem])
            elif stem:
                place = (str(path), f'line {i}')
                findings.error('missing-annotation', place, f"there is no '{stem}.xml'", 'left out')
    if splits:
        return splits
    for path in files:
        name = split_name(path.relative_to(root).parent) or 'all'
        splits.setdefault(name, []).append(path)
    return splits


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
