"""Checks of the images: their entries, and their files, each decoded."""

import gc
import multiprocessing
import os
import os.path as osp
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from tqdm import tqdm

from ...datasets.findings import Findings
from ...datasets.split import Split, is_inside, leaves_root, place_of
from ...datasets.values import whole
from ...utils.images import ImageFacts, read_image
from ...utils.text import printable
from .transform import scale, turn

CHUNK = 64  # images that a process reads between reports
MODES = {
    'CMYK': 'CMYK: its colours may come out wrong; save it as RGB',
    'RGBA': 'has an alpha channel, which is dropped',
    'LA': 'has an alpha channel, which is dropped',
    'PA': 'has an alpha channel, which is dropped',
    'I;16': 'has 16 bits a pixel, of which 8 are used',
    'I;16B': 'has 16 bits a pixel, of which 8 are used',
    'I;16L': 'has 16 bits a pixel, of which 8 are used',
    'I': 'has 16 or 32 bits a pixel, of which 8 are used',
    'F': 'has floating point pixels, which are cut to 8 bits',
}


@dataclass
class ImageCheck:
    """The images of a split, checked.

    Args:
        kept: Entries that are good or repaired.
        ids: Id in the annotations to the id in ``kept``; None where the image is left out.
        size: True width and height by id, in pixels; the stated ones of images left out.
        move: By id, what takes an annotation to the image as mmdet loads it.
        facts: By id, what is known of the file.
    """

    kept: List[Dict] = field(default_factory=list)
    ids: Dict[int, Optional[int]] = field(default_factory=dict)
    size: Dict[int, Tuple[int, int]] = field(default_factory=dict)
    move: Dict[int, Callable] = field(default_factory=dict)
    facts: Dict[int, ImageFacts] = field(default_factory=dict)


def image_paths(splits: Sequence[Split]) -> List[str]:
    """Return the paths of all images that lie within their data root, each once."""
    paths = {}
    for split in splits:
        for entry in split.images:
            name = entry.get('file_name') if isinstance(entry, dict) else None
            if isinstance(name, str) and name and not leaves_root(name):
                paths[split.path_of(name)] = None
    return list(paths)


def read_images(paths: Sequence[str], progress: bool = True) -> Dict[str, ImageFacts]:
    """Decode images in parallel processes.

    A decoder that crashes takes down its process only: its images are then read one by one.

    Args:
        paths: The images.
        progress: Show a progress bar on the terminal.
    """
    facts: Dict[str, ImageFacts] = {}
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    bar = tqdm(
        total=len(paths), unit=' images', desc='reading', disable=not progress, file=sys.stderr
    )
    with bar:
        try:
            with _pool(_cpu_count()) as pool:
                for future in as_completed([pool.submit(_read_chunk, c) for c in chunks]):
                    found = future.result()
                    facts.update(found)
                    bar.update(len(found))
        except BrokenProcessPool:
            for path in paths:
                if path not in facts:
                    facts[path] = _read_alone(path)
                    bar.update()
    return facts


def check_images(split: Split, facts: Dict[str, ImageFacts], findings: Findings) -> ImageCheck:
    """Check the image entries of a split against their files."""
    result = ImageCheck()
    by_name: Dict[str, int] = {}
    outside: List[str] = []
    real_dir = osp.realpath(split.image_dir)
    for entry in split.images:
        place = place_of(split, 'image', entry)
        entry = _checked_entry(entry, place, findings)
        if entry is None:
            continue
        if entry['id'] in result.ids:
            findings.error(
                'duplicate-id', place, 'another image has this id', 'the later one is left out'
            )
            continue
        result.ids[entry['id']] = None
        result.size.update(_stated_size(entry))
        name = _checked_name(split, entry['file_name'], place, findings)
        if name is None:
            continue
        if name != entry['file_name']:
            entry = dict(entry, file_name=name)
        if name in by_name:
            findings.error(
                'duplicate-file',
                place,
                f'image {by_name[name]} is the same file',
                'their annotations are joined',
            )
            result.ids[entry['id']] = by_name[name]
            continue
        file = facts.get(split.path_of(name)) or read_image(split.path_of(name))
        if file.fault:
            code = 'missing-image' if file.fault == 'missing' else 'unreadable-image'
            message = f"'{split.path_of(name)}' is {file.fault}"
            if code == 'unreadable-image':
                message = f"'{split.path_of(name)}': {file.fault}"
            findings.error(code, place, message, 'left out with its annotations')
            continue
        path = split.path_of(name)
        if osp.islink(path) and not is_inside(osp.realpath(path), real_dir):
            outside.append(name)
        by_name[name] = entry['id']
        result.ids[entry['id']] = entry['id']
        result.kept.append(_with_size(entry, file, place, result, findings))
    if outside:
        findings.warning(
            'link-outside',
            split.source,
            f"{len(outside)} of its images are links out of '{split.image_dir}', such as "
            f"'{printable(outside[0])}': right if you made them",
        )
    return result


def _checked_entry(entry, place, findings: Findings) -> Optional[Dict]:
    if not isinstance(entry, dict):
        findings.error('bad-entry', place, 'it is not a COCO image', 'left out')
        return None
    if not isinstance(entry.get('file_name'), str) or not entry['file_name']:
        findings.error('bad-entry', place, 'it has no file_name', 'left out')
        return None
    number = whole(entry.get('id'))
    if number is None:
        findings.error('bad-entry', place, 'its id is not a whole number', 'left out')
        return None
    if type(entry['id']) is not int:
        findings.error(
            'bad-entry', place, f'its id {entry["id"]!r} is not written as a number', f'{number}'
        )
        entry = dict(entry, id=number)
    return entry


def _stated_size(entry: Dict) -> Dict[int, Tuple[int, int]]:
    size = tuple(whole(entry.get(key)) for key in ('width', 'height'))
    return {} if None in size or min(size) <= 0 else {entry['id']: size}


def _checked_name(split: Split, name: str, place, findings: Findings) -> Optional[str]:
    if leaves_root(name):
        inside = osp.relpath(name, split.image_dir) if osp.isabs(name) else '..'
        if leaves_root(inside) or '\0' in name:
            findings.error(
                'outside-root', place, f"'{name}' leaves '{split.image_dir}'", 'left out'
            )
            return None
        findings.error('outside-root', place, f"'{name}' is absolute", f"'{inside}'")
        return inside
    if '\\' in name and not osp.exists(split.path_of(name)):
        slashed = name.replace('\\', '/')
        if osp.exists(split.path_of(slashed)):
            findings.error('backslash', place, f"'{name}' is a Windows path", f"'{slashed}'")
            return slashed
    return osp.normpath(name).replace(os.sep, '/')


def _with_size(entry: Dict, file: ImageFacts, place, result: ImageCheck, findings: Findings):
    number, size = entry['id'], file.size
    result.facts[number], result.size[number] = file, size
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
    elif stated == file.stored_size != size:
        findings.error(
            'exif-rotated',
            place,
            f'it was annotated as {stated[0]}x{stated[1]}, but EXIF orientation '
            f'{file.orientation} turns it to {text} when it is loaded',
            'its annotations are turned',
        )
        result.move[number] = lambda a: turn(a, file.orientation, file.stored_size)
    elif stated != size:
        similar = abs(stated[0] * size[1] / (stated[1] * size[0]) - 1) < 0.01
        findings.error(
            'size-mismatch',
            place,
            f'its stated size is {stated[0]}x{stated[1]}, the file is {text}',
            'its annotations are scaled' if similar else f'{text}',
        )
        if similar:
            result.move[number] = lambda a: scale(a, stated, size)
    elif file.orientation != 1 and file.stored_size == size:
        findings.warning(
            'exif-rotated',
            place,
            f'EXIF orientation {file.orientation} turns it when it is loaded: see on the page '
            'that its boxes were drawn so',
        )
    if (entry.get('width'), entry.get('height')) != size:
        entry = dict(entry, width=size[0], height=size[1])
    return entry


def _pool(workers: int) -> ProcessPoolExecutor:
    method = 'fork' if 'fork' in multiprocessing.get_all_start_methods() else None
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    gc.freeze()  # or collecting would copy the parent's memory, page by page
    warnings.simplefilter('ignore')
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # libjpeg and libtiff print; what is wrong is returned


def _cpu_count() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_chunk(paths: Sequence[str]) -> Dict[str, ImageFacts]:
    return {path: read_image(path) for path in paths}


def _read_alone(path: str) -> ImageFacts:
    try:
        with _pool(1) as pool:
            return pool.submit(_read_chunk, [path]).result()[path]
    except BrokenProcessPool:
        return ImageFacts('cannot be decoded: the decoder crashed')
