"""Checks of the images: their entries and their decoded files."""

import os
import os.path as osp
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from ...datasets.values import whole
from ...utils.files import is_inside, leaves_root
from ...utils.images import ImageFacts, read_image
from ...utils.text import printable
from ..findings import Findings
from ..formats.split import Split
from .transform import rotate, scale

ALPHA = 'has an alpha channel, which is dropped'
SIXTEEN_BITS = 'has 16 bits per pixel, of which 8 are used'
MODES = {
    'CMYK': 'CMYK: its colours may come out wrong; save it as RGB',
    **dict.fromkeys(('RGBA', 'LA', 'PA'), ALPHA),
    **dict.fromkeys(('I;16', 'I;16B', 'I;16L'), SIXTEEN_BITS),
    'I': 'has 16 or 32 bits per pixel, of which 8 are used',
    'F': 'has floating point pixels, which are reduced to 8 bits',
}

Size = Tuple[int, int]


@dataclass
class ImageCheck:
    """The checked images of a split.

    Args:
        kept: Entries that are good or repaired.
        ids: The id in ``kept`` by the id in the annotations; None if the image is left out.
        size: True width and height by id, in pixels; the stated ones if the image is left out.
        move: By id, a function that adapts an annotation to the image as mmdet loads it.
        digests: Hash of the pixels by id.
    """

    kept: List[Dict] = field(default_factory=list)
    ids: Dict[int, Optional[int]] = field(default_factory=dict)
    size: Dict[int, Size] = field(default_factory=dict)
    move: Dict[int, Callable[[Dict], Dict]] = field(default_factory=dict)
    digests: Dict[int, str] = field(default_factory=dict)


def image_paths(splits: Sequence[Split]) -> List[str]:
    """Return the paths of all images that lie within their data root, each once."""
    paths = {}
    for split in splits:
        for entry in split.images:
            name = entry.get('file_name') if isinstance(entry, dict) else None
            if isinstance(name, str) and name and not leaves_root(name):
                paths[split.path_of(name)] = None
    return list(paths)


def check_images(split: Split, facts: Dict[str, ImageFacts], findings: Findings) -> ImageCheck:
    """Check the image entries of a split against their files."""
    result = ImageCheck()
    by_name: Dict[str, int] = {}
    outside: List[str] = []
    real_dir = osp.realpath(split.image_dir)
    for entry in split.images:
        place = split.place_of('image', entry)
        entry = _checked_entry(entry, place, findings)
        if entry is None:
            continue
        number = entry['id']
        if number in result.ids:
            message = 'another image has this id'
            findings.error('duplicate-id', place, message, 'the later one is left out')
            continue
        result.ids[number] = None
        result.size.update(_stated_size(entry))
        name = _checked_name(split, entry['file_name'], place, findings)
        if name is None:
            continue
        if name in by_name:
            message = f'image {by_name[name]} is the same file'
            findings.error('duplicate-file', place, message, 'their annotations are joined')
            result.ids[number] = by_name[name]
            continue
        path = split.path_of(name)
        file = facts.get(path) or read_image(path)
        if file.fault:
            code, message = 'unreadable-image', f"'{path}': {file.fault}"
            if file.fault == 'missing':
                code, message = 'missing-image', f"'{path}' is missing"
            findings.error(code, place, message, 'left out with its annotations')
            continue
        if osp.islink(path) and not is_inside(osp.realpath(path), real_dir):
            outside.append(name)
        result.ids[number] = by_name[name] = number
        result.digests[number], result.size[number] = file.digest, file.size
        result.move.update(_check_size(entry, file, place, findings))
        actual = dict(file_name=name, width=file.size[0], height=file.size[1])
        result.kept.append(entry if actual.items() <= entry.items() else {**entry, **actual})
    if outside:
        findings.warning(
            'link-outside',
            split.source,
            f"{len(outside)} of its images are links out of '{split.image_dir}', such as "
            f"'{printable(outside[0])}': fine if you created them",
        )
    return result


def _checked_entry(entry, place, findings: Findings) -> Optional[Dict]:
    """Return an entry that has a file name and an id, or None."""
    if not isinstance(entry, dict):
        fault = 'it is not a COCO image'
    elif not isinstance(entry.get('file_name'), str) or not entry['file_name']:
        fault = 'it has no file_name'
    elif whole(entry.get('id')) is None:
        fault = 'its id is not a whole number'
    else:
        number = whole(entry['id'])
        if type(entry['id']) is int:
            return entry
        message = f'its id {entry["id"]!r} is not written as a number'
        findings.error('bad-entry', place, message, f'{number}')
        return dict(entry, id=number)
    findings.error('bad-entry', place, fault, 'left out')
    return None


def _stated_size(entry: Dict) -> Dict[int, Size]:
    size = tuple(whole(entry.get(key)) for key in ('width', 'height'))
    return {} if None in size or min(size) <= 0 else {entry['id']: size}


def _checked_name(split: Split, name: str, place, findings: Findings) -> Optional[str]:
    """Return a file name inside the image folder, with forward slashes, or None."""
    if leaves_root(name):
        inside = osp.relpath(name, split.image_dir) if osp.isabs(name) else '..'
        if leaves_root(inside) or '\0' in name:
            message = f"'{name}' leaves '{split.image_dir}'"
            findings.error('outside-root', place, message, 'left out')
            return None
        findings.error('outside-root', place, f"'{name}' is absolute", f"'{inside}'")
        return inside
    slashed = name.replace('\\', '/')
    if slashed != name and not osp.exists(split.path_of(name)):
        if osp.exists(split.path_of(slashed)):
            findings.error('backslash', place, f"'{name}' is a Windows path", f"'{slashed}'")
            return slashed
    return osp.normpath(name).replace(os.sep, '/')


def _check_size(entry: Dict, file: ImageFacts, place, findings: Findings) -> Dict[int, Callable]:
    """Check the stated size, and return what moves annotations of another size, by image id."""
    number, size, stored = entry['id'], file.size, file.stored_size
    stated = _stated_size(entry).get(number)
    text = f'{size[0]}x{size[1]}'
    if file.mode in MODES:
        findings.warning('image-mode', place, f'the image {MODES[file.mode]}')
    if stated is None:
        if 'width' in entry or 'height' in entry or '_place' not in entry:
            shown = f'{entry.get("width")}x{entry.get("height")}'
            findings.error('bad-size', place, f'its stated size is {shown}', text)
    elif isinstance(entry['width'], str) or isinstance(entry['height'], str):
        findings.error('bad-size', place, 'its stated size is text, not numbers', text)
    elif stated == stored != size:
        message = (
            f'it was annotated as {stated[0]}x{stated[1]}, but EXIF orientation '
            f'{file.orientation} rotates it to {text} when it is loaded'
        )
        findings.error('exif-rotated', place, message, 'its annotations are rotated')
        return {number: lambda a: rotate(a, file.orientation, stored)}
    elif stated != size:
        similar = abs(stated[0] * size[1] / (stated[1] * size[0]) - 1) < 0.01
        message = f'its stated size is {stated[0]}x{stated[1]}, the file is {text}'
        repair = 'its annotations are scaled' if similar else text
        findings.error('size-mismatch', place, message, repair)
        if similar:
            return {number: lambda a: scale(a, stated, size)}
    elif file.orientation != 1 and stored == size:
        findings.warning(
            'exif-rotated',
            place,
            f'EXIF orientation {file.orientation} rotates it when it is loaded: check on the page '
            'that its boxes were drawn on the rotated image',
        )
    return {}
