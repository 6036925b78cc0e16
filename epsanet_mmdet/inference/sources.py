"""What to detect on: pictures, folders, glob patterns, videos and webcams, frame by frame."""

import glob
import os
import os.path as osp
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import cv2
import mmcv
import numpy as np
from mmdet.apis.det_inferencer import IMG_EXTENSIONS

from ..datasets.image_files import header_fault
from ..datasets.regular_files import read_bytes
from ..errors import DataError

VIDEO_EXTENSIONS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv')
PIXEL_LIMIT = 4096 * 2160  # 4K video; above, masks of a hundred objects would take gigabytes
SIDE_LIMIT = 16384  # above, neither Matplotlib nor JPEG can take it much further
WEBCAM_FPS = 10.0  # of the written video where the camera does not say

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
        fault: What is wrong with it.
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
    """Find what the inputs stand for.

    Args:
        inputs: Files, folders (without their subfolders), glob patterns (``**`` enters
            subfolders), indices of webcams, or BGR pictures of shape (height, width, 3).

    Raises:
        DataError: If an input does not exist, or holds no picture or video.
    """
    sources, paths = [], []
    for i, given in enumerate(inputs):
        if isinstance(given, np.ndarray):
            sources.append(Source('', f'{i:06d}.png', given))
        else:
            found = _find_files(os.fspath(given))
            sources += [Source(path, '') for path in found]
            paths += found
    names = [osp.basename(path) for path in paths]
    if len(set(names)) < len(set(paths)):
        root = osp.commonpath([osp.dirname(osp.abspath(path)) for path in paths])
        names = [osp.relpath(osp.abspath(path), root) for path in paths]
    name_of = dict(zip(paths, names))
    for source in sources:
        source.name = source.name or name_of[source.path]
    unique = {source.path or source.name: source for source in sources}
    return list(unique.values())


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
        raise DataError(f"input '{given}' does not exist; give a file, folder, pattern or webcam")
    paths = [path for path in paths if _extension(path) in (*IMG_EXTENSIONS, *VIDEO_EXTENSIONS)]
    if not paths:
        raise DataError(f"{what} '{given}' holds no pictures or videos; give another")
    return paths


def count_frames(sources: Iterable[Source]) -> Optional[int]:
    """Say how many frames the sources have, as far as their files know; None for webcams."""
    count = 0
    for source in sources:
        if source.is_webcam:
            return None
        if source.is_video:
            capture = cv2.VideoCapture(source.path)
            count += max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            capture.release()
        else:
            count += 1
    return count


def read_frames(sources: Iterable[Source]) -> Iterator[Frame]:
    """Read pictures and the frames of videos, one at a time; a bad file gives a fault."""
    for source in sources:
        if source.is_video:
            yield from _read_video(source)
        elif source.image is not None:
            yield _frame(source, source.image)
        else:
            yield _read_picture(source)


def _read_picture(source: Source) -> Frame:
    try:
        content = read_bytes(source.path)
        # a few bytes may claim as many pixels as they like; of TIFF, OpenCV reads more kinds
        fault = header_fault(source.path) if content else 'is empty'
        is_tiff = content.startswith((b'II*\0', b'MM\0*'))
        if fault and (fault.startswith('gigantic') or not is_tiff):
            return Frame(source, fault=fault)
        # as in training: 8 bit, 3 channels, upright
        image = mmcv.imfrombytes(content, flag='color', backend='cv2')
    except OSError as error:
        return Frame(source, fault=f'cannot be read: {error.strerror}')
    except (cv2.error, MemoryError) as error:
        return Frame(source, fault=f'cannot be decoded: {_reason(error)}')
    if image is None:
        return Frame(source, fault='cannot be decoded')
    return _frame(source, image)


def _read_video(source: Source) -> Iterator[Frame]:
    capture = cv2.VideoCapture(int(source.path) if source.is_webcam else source.path)
    fps = capture.get(cv2.CAP_PROP_FPS)
    index = 0
    try:
        while True:
            is_read, image = capture.read()
            if not is_read:
                break
            yield _frame(source, image, index=index, fps=fps if fps > 0 else WEBCAM_FPS)
            index += 1
    finally:
        capture.release()
    if not index:
        what = 'webcam' if source.is_webcam else 'video'
        yield Frame(source, fault=f'cannot be opened as a {what}')


def _frame(source: Source, image: np.ndarray, **video) -> Frame:
    size = image.shape[:2]
    scale = min((PIXEL_LIMIT / (size[0] * size[1])) ** 0.5, SIDE_LIMIT / max(size))
    if scale < 1:
        width, height = (max(1, int(side * scale)) for side in (size[1], size[0]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return Frame(source, image, size, **video)


def _extension(path: str) -> str:
    return osp.splitext(path)[1].lower()


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
