"""Output paths that are unique and never overwrite an input."""

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
    """Return the path of each source's drawn image or video, by its ``key``.

    The paths also differ on file systems that ignore case or Unicode normalisation, as Windows
    and macOS do.
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
    """Raise DataError if an output is one of the inputs, be it through a link or another name.

    Args:
        outputs: Files to write.
        inputs: Files to read; those that do not exist are ignored.
        option: Command-line option that sets the outputs, for the message.
    """
    known = {_identity(path): path for path in inputs if os.path.exists(path)}
    for path in outputs:
        if path.exists() and _identity(path) in known:
            raise DataError(
                f"'{printable(str(path), 300)}' would be overwritten, but it is an input; choose "
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
