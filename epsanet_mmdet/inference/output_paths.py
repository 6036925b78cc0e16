"""Where the results of every input go: no two to one place, and none over an input."""

import itertools
import os
import unicodedata
from pathlib import Path
from typing import Dict, Iterable, Iterator, Set

from ..errors import DataError
from ..utils.text import printable
from .sources import Source
from .videos import video_suffix

WRITTEN = frozenset('.jpg .jpeg .png .bmp .webp .tif .tiff .ppm'.split())  # others become PNG


def picture_paths(folder: Path, sources: Iterable[Source]) -> Dict[str, Path]:
    """Choose where each source is drawn, by its ``key``.

    Names are different also where case or the way of writing an accent makes no difference, as on
    Windows and macOS.
    """
    files: Set[str] = set()
    folders: Set[str] = set()
    paths = {}
    for source in sources:
        for path in _candidates(source):
            parents = {_folded(parent) for parent in path.parents}
            name = _folded(path)
            if name not in files | folders and not parents & files:
                break
        files.add(name)
        folders |= parents
        paths[source.key] = folder / path
    return paths


def check_inputs_stay(outputs: Iterable[Path], inputs: Iterable[str], option: str) -> None:
    """Check that no output is an input, neither by a link nor under another name.

    Args:
        outputs: Files that will be written.
        inputs: Files that are read; those that do not exist do not count.
        option: The argument that chooses the outputs' place.

    Raises:
        DataError: It names the first.
    """
    known = {_identity(path): path for path in inputs if os.path.exists(path)}
    for path in outputs:
        if path.exists() and _identity(path) in known:
            raise DataError(
                f"'{printable(path, 300)}' would be written over, but it is an input; choose "
                f'another {option}'
            )


def _candidates(source: Source) -> Iterator[Path]:
    path = Path(source.name)
    if source.is_video:
        folder, stem, suffix = 'videos', path.stem, video_suffix()
        if source.is_webcam:
            stem = f'webcam{source.path}'
    else:
        folder, stem, suffix = 'pictures', path.stem, path.suffix
        if suffix.lower() not in WRITTEN:
            stem, suffix = path.name, '.png'
    parent = Path(folder, path.parent)
    yield parent / (stem + suffix)
    if source.is_video:
        yield parent / (path.name + suffix)  # clip.avi beside clip.mp4
    for number in itertools.count(2):
        yield parent / f'{stem}-{number}{suffix}'


def _folded(path: Path) -> str:
    return unicodedata.normalize('NFC', str(path).casefold())


def _identity(path) -> tuple:
    status = os.stat(path)
    return status.st_dev, status.st_ino
