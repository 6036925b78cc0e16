"""Inputs of the detector: pictures, folders, glob patterns, videos and webcams, frame by frame."""

import glob
import os
import os.path as osp
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
from mmdet.apis.det_inferencer import IMG_EXTENSIONS

from ..errors import DataError
from ..utils.images import MAX_PIXELS, is_image, load_image
from ..utils.text import printable

VIDEO_EXTENSIONS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv')
PIXEL_LIMIT = 4096 * 2160  # 4K video; above, masks of a hundred objects would take gigabytes
SIDE_LIMIT = 16382  # WebP and VP8 take no more
WEBCAM_FPS = 10.0  # of the written video where the camera does not state it

Input = Union[str, Path, np.ndarray]


@dataclass
class Source:
    """A picture, a video or a webcam.

    Args:
        path: File, or index of the webcam.
        name: What the results call it: the file's name, or, where two files share theirs, its
            path from the deepest folder that holds all of them.
        image: The picture itself, BGR, if it is not in a file.
    """

    path: str
    name: str
    image: Optional[np.ndarray] = None

    @property
    def key(self) -> str:
        """What no other source has."""
        return self.path or self.name

    @property
    def is_webcam(self) -> bool:
        return self.path.isdecimal() and not osp.exists(self.path)

    @property
    def is_video(self) -> bool:
        return self.is_webcam or _extension(self.path) in VIDEO_EXTENSIONS


@dataclass
class Frame:
    """One picture as it goes into the detector.

    Args:
        source: Where it is from.
        image: BGR, 8 bit, shrunk to the limits above; None if there is a fault.
        size: Height and width in pixels before shrinking.
        fault: Why it cannot be used.
        index: Its number in a video, from 0.
        fps: Frames a second of the video.
    """

    source: Source
    image: Optional[np.ndarray] = None
    size: Tuple[int, int] = (0, 0)
    fault: Optional[str] = None
    index: Optional[int] = None
    fps: Optional[float] = None

    @property
    def name(self) -> str:
        return self.source.name if self.index is None else f'{self.source.name} #{self.index}'


def find_sources(inputs: Sequence[Input]) -> List[Source]:
    """Find the files that the inputs name.

    Args:
        inputs: Files, folders (without their subfolders), glob patterns (``**`` enters
            subfolders), indices of webcams, or BGR pictures of shape (height, width, 3).

    Raises:
        DataError: If an input does not exist, or holds no picture or video.
    """
    found = {}
    for i, given in enumerate(inputs):
        if isinstance(given, np.ndarray):
            found[i] = Source('', f'{i:06d}.png', given)
        else:
            for path in _find_files(os.fspath(given)):
                found.setdefault(osp.abspath(path), Source(path, osp.basename(path)))
    paths = [key for key in found if isinstance(key, str)]
    names = {found[path].name for path in paths}
    if len(names) < len(paths):
        root = osp.commonpath([osp.dirname(path) for path in paths])
        for path in paths:
            found[path].name = osp.relpath(path, root)
    return list(found.values())


def _find_files(given: str) -> List[str]:
    if osp.isdir(given):
        paths = [osp.join(given, name) for name in sorted(os.listdir(given))]
        what = 'folder'
    elif osp.exists(given) or given.isdecimal():
        return [given]
    elif glob.has_magic(given):
        paths = sorted(glob.glob(osp.expanduser(given), recursive=True))
        what = 'pattern'
    else:
        shown = printable(given, 300)
        raise DataError(f"input '{shown}' does not exist; name a file, folder, pattern or webcam")
    paths = [path for path in paths if _extension(path) in (*IMG_EXTENSIONS, *VIDEO_EXTENSIONS)]
    if not paths:
        raise DataError(
            f"{what} '{printable(given, 300)}' holds no pictures or videos; name another"
        )
    return paths


def count_frames(sources: Iterable[Source]) -> Optional[int]:
    """Count the frames of the sources, as far as their files know; None for webcams."""
    count = 0
    for source in sources:
        if source.is_webcam:
            return None
        if source.is_video:
            capture = _open(source)
            count += max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            capture.release()
        else:
            count += 1
    return count


def read_frames(sources: Iterable[Source]) -> Iterator[Frame]:
    """Read pictures and the frames of videos, one at a time; a bad file is a frame with a fault."""
    for source in sources:
        if source.is_video:
            yield from _read_video(source)
        elif source.image is not None:
            yield _frame(source, source.image)
        else:
            yield _read_picture(source)


def _read_picture(source: Source) -> Frame:
    try:
        return _frame(source, load_image(source.path))
    except DataError as error:
        return Frame(source, fault=str(error))


def _read_video(source: Source) -> Iterator[Frame]:
    what = 'webcam' if source.is_webcam else 'video'
    capture = _open(source)
    fps = capture.get(cv2.CAP_PROP_FPS)
    fps = fps if 0 < fps < float('inf') else WEBCAM_FPS
    size = tuple(int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    index = 0
    try:
        while not (fault := _size_fault(*size)):
            is_read, image = capture.read()
            if not is_read:
                break
            size = image.shape[1::-1]
            if not _size_fault(*size):
                yield _frame(source, image, index=index, fps=fps)
                index += 1
    finally:
        capture.release()
    if fault or not index:
        yield Frame(source, fault=fault or f'cannot be opened as a {what}')


def _open(source: Source) -> cv2.VideoCapture:
    if source.is_webcam:
        return cv2.VideoCapture(int(source.path))
    # a pipe would be waited for, and an image decoded without a limit to learn its size
    if not osp.isfile(source.path) or is_image(source.path):
        return cv2.VideoCapture()
    # another backend would take clip0.mp4 for a series of images
    backend = cv2.CAP_FFMPEG if cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG) else cv2.CAP_ANY
    return cv2.VideoCapture(source.path, backend)


def _size_fault(width: int, height: int) -> Optional[str]:
    if width * height <= MAX_PIXELS:
        return None
    return f'gigantic: {width}x{height} pixels, more than {MAX_PIXELS} are not read; scale it down'


def _frame(source: Source, image: np.ndarray, **video) -> Frame:
    size = image.shape[:2]
    scale = min((PIXEL_LIMIT / (size[0] * size[1])) ** 0.5, SIDE_LIMIT / max(size))
    if scale < 1:
        width, height = (max(1, int(side * scale)) for side in (size[1], size[0]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return Frame(source, image, size, **video)


def _extension(path: str) -> str:
    return osp.splitext(path)[1].lower()
