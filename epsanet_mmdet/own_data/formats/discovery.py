"""Detecting the format of a data set."""

from pathlib import Path
from typing import List, Optional, Sequence

from ...errors import DataError
from ...utils.images import images_below
from ..findings import Findings
from .coco import looks_like_coco, read_coco
from .split import Split
from .voc import read_voc
from .yolo import read_yolo
from .yolo_settings import load_yaml


def read_splits(paths: Sequence[str], image_dir: Optional[str], findings: Findings) -> List[Split]:
    """Read all splits at some paths.

    Args:
        paths: Folders of a data set, COCO JSON files, or a YOLO ``data.yaml``.
        image_dir: Folder of the images of COCO annotations, or one that a ``data.yaml`` may take
            them from; None to search for it.
        findings: Receives the faults of the files that are read.

    Raises:
        DataError: If a path does not exist, or holds no annotations in a known format.
    """
    if image_dir and not Path(image_dir).is_dir():
        raise DataError(f"image folder '{image_dir}' does not exist; set --images to it")
    splits: List[Split] = []
    for path in map(Path, paths):
        if not path.exists():
            raise DataError(f"'{path}' does not exist; name a folder, a JSON file or a data.yaml")
        splits += (_read_file if path.is_file() else _read_folder)(path, image_dir, findings)
    taken = set()
    for split in splits:
        base, number = split.name, 2
        while split.name in taken:
            split.name, number = f'{base}-{number}', number + 1
        taken.add(split.name)
    return splits


def _read_file(path: Path, image_dir: Optional[str], findings: Findings) -> List[Split]:
    suffix = path.suffix.lower()
    if suffix in ('.yaml', '.yml'):
        return read_yolo(path.parent, path, findings, image_dir)
    if suffix == '.xml':
        return read_voc(path.parent, [path], findings)
    return read_coco(str(path), image_dir, findings)


def _read_folder(path: Path, image_dir: Optional[str], findings: Findings) -> List[Split]:
    settings = sorted(filter(_is_yolo_settings, [*path.glob('*.yaml'), *path.glob('*.yml')]))
    if settings:
        named = [file for file in settings if file.stem == 'data']
        return read_yolo(path, (named or settings)[0], findings, image_dir)
    files = sorted(filter(looks_like_coco, {*path.glob('*.json'), *path.glob('*/*.json')}))
    if files:
        return [s for file in files for s in read_coco(str(file), image_dir, findings)]
    files = sorted(path.rglob('*.xml'))
    if files:
        return read_voc(_voc_root(path), files, findings)
    if _has_labels(path):
        return read_yolo(path, None, findings)
    raise DataError(
        f"'{path}' holds no annotations in a known format: COCO JSON (here or in annotations/), "
        'Pascal VOC XML, or YOLO (a data.yaml, or .txt labels beside the images or in labels/)'
    )


def _voc_root(path: Path) -> Path:
    """Return a folder with XML files, or its parent if that has their images, as in VOC."""
    beside = any((path.parent / name).is_dir() for name in ('JPEGImages', 'images'))
    return path.parent if beside and not images_below(path) else path


def _is_yolo_settings(path: Path) -> bool:
    try:
        content = load_yaml(path)
    except (OSError, ValueError):
        return path.stem == 'data'
    return isinstance(content, dict) and ('names' in content or 'train' in content)


def _has_labels(path: Path) -> bool:
    labels = {file.stem for file in path.rglob('*.txt')}
    return (path / 'labels').is_dir() or any(file.stem in labels for file in images_below(path))
