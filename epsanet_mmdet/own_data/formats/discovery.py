"""Recognising the format of a data set."""

from pathlib import Path
from typing import List, Optional, Sequence

from ...datasets.coco_json import looks_like_coco, read_coco
from ...datasets.findings import Findings
from ...datasets.split import Split
from ...errors import DataError
from ...utils.images import SUFFIXES
from .voc import read_voc
from .yolo import load_yaml, read_yolo


def read_splits(paths: Sequence[str], image_dir: Optional[str], findings: Findings) -> List[Split]:
    """Read every split at some paths.

    Args:
        paths: Folders of a data set, COCO JSON files, or YOLO's ``data.yaml``.
        image_dir: Folder of the images of COCO annotations, or one that a ``data.yaml`` may take
            them from; None to look for it.
        findings: Where faults in reading go.

    Raises:
        DataError: If a path does not exist, or holds no annotations of a known format.
    """
    if image_dir and not Path(image_dir).is_dir():
        raise DataError(f"image folder '{image_dir}' does not exist; set --images to it")
    splits: List[Split] = []
    for path in map(Path, paths):
        if not path.exists():
            raise DataError(f"'{path}' does not exist; give a folder, a JSON file or a data.yaml")
        splits += _read(path, image_dir, findings)
    taken = set()
    for split in splits:
        base, number = split.name, 2
        while split.name in taken:
            split.name, number = f'{base}-{number}', number + 1
        taken.add(split.name)
    return splits


def _read(path: Path, image_dir: Optional[str], findings: Findings) -> List[Split]:
    if path.is_file():
        if path.suffix.lower() in ('.yaml', '.yml'):
            return read_yolo(path.parent, path, findings, image_dir)
        if path.suffix.lower() == '.xml':
            return read_voc(path.parent, [path], findings)
        split = read_coco(str(path), image_dir, findings)
        return [split] if split else []
    settings = sorted(filter(_is_yolo_settings, [*path.glob('*.yaml'), *path.glob('*.yml')]))
    if settings:
        named = [file for file in settings if file.stem == 'data']
        return read_yolo(path, (named or settings)[0], findings, image_dir)
    files = sorted({*path.glob('*.json'), *path.glob('*/*.json')})
    files = [file for file in files if looks_like_coco(file)]
    if files:
        splits = [read_coco(str(file), image_dir, findings) for file in files]
        return [split for split in splits if split]
    files = sorted(path.rglob('*.xml'))
    if files:
        return read_voc(path, files, findings)
    if _has_labels(path):
        return read_yolo(path, None, findings)
    raise DataError(
        f"'{path}' holds no annotations that are known: COCO JSON (here or in annotations/), "
        'Pascal VOC XML, or YOLO (a data.yaml, or .txt labels beside the images or in labels/)'
    )


def _is_yolo_settings(path: Path) -> bool:
    try:
        content = load_yaml(path)
    except (OSError, ValueError):
        return path.stem == 'data'
    return isinstance(content, dict) and ('names' in content or 'train' in content)


def _has_labels(path: Path) -> bool:
    labels = {file.stem for file in path.rglob('*.txt')}
    return (path / 'labels').is_dir() or any(
        file.stem in labels for file in path.rglob('*') if file.suffix.lower() in SUFFIXES
    )
