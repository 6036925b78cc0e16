"""Reading and writing COCO's JSON."""

import json
import os.path as osp
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from ..errors import DataError
from ..utils.files import open_regular, read_bytes
from ..utils.storage import write_whole
from ..utils.text import printable
from .findings import Findings
from .split import SPLITS, Split, leaves_root, split_name

LISTS = ('images', 'annotations', 'categories')
BOM = b'\xef\xbb\xbf'
PROBED = 50  # file names looked up to find the image folder


def load_json(path: str):
    """Read JSON; of hundreds of megabytes it takes seconds, and orjson would be no faster.

    Raises:
        DataError: If it is not JSON.
    """
    content = read_bytes(path)
    if content.startswith(BOM):
        content = content[len(BOM) :]
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = printable(str(error), 200)
        raise DataError(f"'{path}' is not JSON ({reason}); export the annotations again") from None


def read_coco(path: str, image_dir: Optional[str], findings: Findings) -> Optional[Split]:
    """Read COCO annotations.

    Args:
        path: The JSON file.
        image_dir: Folder of the images; None to look for it.
        findings: Where faults of the file as a whole go.

    Returns:
        The split, or None if the file is not COCO annotations.
    """
    try:
        content = load_json(path)
    except (DataError, OSError) as error:
        findings.error('not-json', path, str(error))
        return None
    if not isinstance(content, dict) or not any(key in content for key in LISTS):
        findings.error('not-coco', path, f'it has none of the lists {", ".join(LISTS)}')
        return None
    lists: Dict[str, List] = {}
    for key in LISTS:
        value = content.get(key)
        if not isinstance(value, list):
            findings.error('not-coco', path, f"it has no list '{key}'", 'an empty one')
            value = []
        lists[key] = value
    with open_regular(path) as file:
        if file.read(len(BOM)) == BOM:
            findings.error(
                'byte-order-mark',
                path,
                'it begins with a byte order mark, which mmdet cannot read',
                'removed',
            )
    names = [image.get('file_name') for image in lists['images'][:PROBED] if type(image) is dict]
    folder = image_dir or _image_dir(Path(path), [n for n in names if isinstance(n, str)])
    return Split(name_of(path), path, 'coco', folder, **lists)


def name_of(path: str) -> str:
    """Name a split after its file, or the folder of a file that all splits call the same."""
    file = Path(path)
    folder = SPLITS.get(file.resolve().parent.name.lower().rstrip('0123456789'))
    return split_name(Path(file.stem)) or folder or file.stem


def looks_like_coco(path: Path) -> bool:
    """Return True if a file may be instance annotations, without reading all of it."""
    if path.stem.startswith(('captions', 'person_keypoints', 'stuff', 'panoptic', 'image_info')):
        return False
    try:
        with open_regular(path) as file:
            head = file.read(4096)
            if b'"images"' in head or b'"annotations"' in head or b'"categories"' in head:
                return True
            file.seek(0, 2)
            if file.tell() <= len(head):  # a small file of something else, or a broken one
                return _is_broken(path)
            return head.lstrip(BOM + b' \r\n\t').startswith(b'{')
    except OSError:
        return True


def write_coco(path: str, split: Split, note: str) -> None:
    """Write a split as COCO JSON."""
    content = dict(
        info=dict(description=note),
        images=[_public(entry) for entry in split.images],
        annotations=[_public(entry) for entry in split.annotations],
        categories=[_public(entry) for entry in split.categories],
    )
    write_whole(json.dumps(content), path)


def _public(entry: Dict) -> Dict:
    if '_place' not in entry:
        return entry
    return {key: value for key, value in entry.items() if not key.startswith('_')}


def _is_broken(path: Path) -> bool:
    try:
        load_json(str(path))
    except DataError:
        return True
    return False


def _image_dir(path: Path, names: Sequence[str]) -> str:
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
    names = [name for name in names if not leaves_root(name)]

    def hits(candidate: Path) -> int:
        return sum(osp.isfile(candidate / name.replace('\\', '/')) for name in names)

    existing = [candidate for candidate in candidates if candidate.is_dir()]
    return str(max(existing, key=hits))
