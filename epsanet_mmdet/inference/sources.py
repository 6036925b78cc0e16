"""Inputs of a detector: images, folders, glob patterns, videos and webcams, frame by frame."""

import glob
import os
import os.path as osp
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from ..errors import DataError
from ..utils.images import MAX_PIXELS, SUFFIXES, is_image, load_image
from ..utils.text import printable

VIDEO_EXTENSIONS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv')
PIXEL_LIMIT = 4096 * 2160  # 4K video; masks of 100 objects on more would take gigabytes
SIDE_LIMIT = 16382  # maximum of WebP and VP8
WEBCAM_FPS = 10.0  # of the written video if the camera reports none

Input = Union[str, Path, np.ndarray]


@dataclass
class Source:
    """An image, a video or a webcam.

    Args:
        path: File or index of the webcam; empty for an array.
        name: Name in the results: the file name, or the path below the common folder if file
            names repeat.
        image: BGR image that is not in a file.
    """

    path: str
    name: str
    image: Optional[np.ndarray] = None

    @property
    def key(self) -> str:
        """A unique identifier of the source."""
        return self.path or self.name

    @property
    def is_webcam(self) -> bool:
        return self.path.isdecimal() and not osp.exists(self.path)

    @property
    def is_video(self) -> bool:
        return self.is_webcam or _extension(self.path) in VIDEO_EXTENSIONS


@dataclass
class Frame:
    """An image as the detector receives it.

    Args:
        source: Source of the image.
        image: 8-bit BGR image, shrunk to the limits above; None if there is a fault.
        size: Height and width in pixels before shrinking.
        fault: Why the image cannot be used, or None.
        index: Index in the video, from 0.
        fps: Frames per second of the video.
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
    """Return the sources that the inputs name, each file once.

    Args:
        inputs: Files, folders (without subfolders), glob patterns (``**`` includes subfolders),
            indices of webcams, or BGR images of shape (height, width, 3).

    Raises:
        DataError: If an input does not exist, or contains no images or videos.
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
    paths = [path for path in paths if _extension(path) in {*SUFFIXES, *VIDEO_EXTENSIONS}]
    if not paths:
        raise DataError(
            f"{what} '{printable(given, 300)}' contains no images or videos; choose another"
        )
    return paths


def count_frames(sources: Iterable[Source]) -> Optional[int]:
    """Return the number of frames that the files report, or None if there is a webcam."""
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
    """Yield images and video frames; a file that cannot be read is a frame with a fault."""
    for source in sources:
        if source.is_video:
            yield from _read_video(source)
        elif source.image is not None:
            yield _frame(source, source.image)
        else:
            yield _read_image(source)


def _read_image(source: Source) -> Frame:
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
    # OpenCV would wait for a pipe, and decode an image of any size
    if not osp.isfile(source.path) or is_image(source.path):
        return cv2.VideoCapture()
    # other backends would read clip0.mp4 as a series of images
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
