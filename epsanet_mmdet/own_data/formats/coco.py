"""Reading and writing COCO annotations."""

import json
import os.path as osp
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from ...datasets.coco_json import BOM, has_byte_order_mark, load_json
from ...errors import DataError
from ...utils.files import leaves_root, open_regular
from ...utils.storage import write_whole
from ..findings import Findings
from .split import NAMES, Split, split_name

LISTS = ('images', 'annotations', 'categories')
PROBED = 50  # file names that are looked up to find the image folder
OTHER_TASKS = ('captions', 'person_keypoints', 'stuff', 'panoptic', 'image_info')


def read_coco(path: str, image_dir: Optional[str], findings: Findings) -> List[Split]:
    """Read COCO annotations.

    Args:
        path: The JSON file.
        image_dir: Folder of the images; None to search for it.
        findings: Receives the faults of the file as a whole.

    Returns:
        The split, or nothing if the file is not COCO annotations.
    """
    try:
        content = load_json(path)
    except (DataError, OSError) as error:
        findings.error('not-json', path, str(error))
        return []
    if not isinstance(content, dict) or not any(key in content for key in LISTS):
        findings.error('not-coco', path, f'it has none of the lists {", ".join(LISTS)}')
        return []
    lists: Dict[str, List] = {key: content.get(key) for key in LISTS}
    for key, value in lists.items():
        if not isinstance(value, list):
            findings.error('not-coco', path, f"it has no list '{key}'", 'an empty one is added')
            lists[key] = []
    if has_byte_order_mark(path):
        message = 'it begins with a byte order mark, which mmdet cannot read'
        findings.error('byte-order-mark', path, message, 'removed')
    names = [image.get('file_name') for image in lists['images'][:PROBED] if type(image) is dict]
    folder = image_dir or _image_dir(Path(path), [n for n in names if isinstance(n, str)])
    return [Split(name_of(path), path, 'coco', folder, **lists)]


def name_of(path: str) -> str:
    """Name a split after its file, or after the folder of a file that has no split's name."""
    file = Path(path)
    folder = NAMES.get(file.resolve().parent.name.lower().rstrip('0123456789'))
    return split_name(Path(file.stem)) or folder or file.stem


def looks_like_coco(path: Path) -> bool:
    """Return True if a file may be instance annotations, without reading a large one whole."""
    if path.stem.startswith(OTHER_TASKS):
        return False
    try:
        with open_regular(path) as file:
            head, more = file.read(4096), file.read(1)
    except OSError:
        return True
    if any(f'"{key}"'.encode() in head for key in LISTS):
        return True
    if more:
        return head.lstrip(BOM + b' \r\n\t').startswith(b'{')
    try:
        load_json(str(path))
    except DataError:  # broken annotations, rather than a small file of something else
        return True
    return False


def write_coco(path: str, split: Split, note: str) -> None:
    """Write a split as COCO JSON."""
    write_whole(coco_text(split, note), path)


def coco_text(split: Split, note: str) -> str:
    """Return a split as COCO JSON, the same for the same split and note."""
    content: Dict[str, object] = dict(info=dict(description=note))
    for key in LISTS:
        content[key] = [
            {k: v for k, v in entry.items() if not k.startswith('_')}
            if '_place' in entry
            else entry
            for entry in getattr(split, key)
        ]
    return json.dumps(content)


def _image_dir(path: Path, names: Sequence[str]) -> str:
    """Return the likely folder in which most of the named images are."""
    folder, parent = path.parent, path.parent.parent
    stem = path.stem.removeprefix('instances_')
    candidates = [
        folder,
        *(base / sub for base in (parent, folder) for sub in (stem, 'images', f'images/{stem}')),
        parent,
        *(base / sub for base in (parent, folder) for sub in ('data', 'JPEGImages', 'img')),
    ]
    split = split_name(Path(stem))
    if split:
        candidates += [parent / split, folder / split, parent / 'images' / split]
    names = [name.replace('\\', '/') for name in names if not leaves_root(name)]

    def hits(candidate: Path) -> int:
        return sum(osp.isfile(candidate / name) for name in names)

    return str(max(filter(Path.is_dir, candidates), key=hits))
