"""Videos that browsers play, even if the process that writes them is killed."""

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Iterator, Optional, Tuple

import cv2
import numpy as np

MIN_AV = 14  # brings FFmpeg 7.1, the first with hybrid_fragmented
MIN_SIDE = 16  # OpenCV's videos cannot be read below this, or below one frame per second
MIN_FPS, MAX_FPS = 1.0, 240.0
KEY_FRAME_SECONDS = 2  # lost if the process is killed


def _load_av() -> Optional[ModuleType]:
    try:
        import av
    except ImportError:  # optional
        return None
    usable = int(av.__version__.split('.')[0]) >= MIN_AV and 'libx264' in av.codecs_available
    return av if usable else None


av = _load_av()
WITHOUT_AV = (
    'videos are written as VP8 in .webm, which browsers play; for H.264 in .mp4: '
    f"pip install 'av>={MIN_AV}'"
)


def video_suffix() -> str:
    """Return the extension of the videos that this installation can write."""
    return '.webm' if av is None else '.mp4'


class VideoFile:
    """A video written frame by frame: H.264 with PyAV, or VP8 with OpenCV.

    Both use fragmented containers (MP4, WebM), which play even if the process is killed.

    Args:
        path: File to create or replace, with the extension :func:`video_suffix`.
        size: Height and width of the frames in pixels. The codecs need even sizes of at least
            16; frames are padded at the right and bottom.
        fps: Frames per second, clipped to 1 to 240.

    Raises:
        OSError: If the file cannot be written.
    """

    def __init__(self, path: Path, size: Tuple[int, int], fps: float) -> None:
        self.size = size
        height, width = (max(MIN_SIDE, side + side % 2) for side in size)
        self.margin = height - size[0], width - size[1]
        path.unlink(missing_ok=True)
        path.open('xb').close()  # not through a link, and with a clear error
        writer = _Vp8 if av is None else _H264
        self.writer = writer(path, (width, height), min(max(fps, MIN_FPS), MAX_FPS))

    def write(self, image: np.ndarray) -> None:
        """Add a BGR frame, resized to the size of the video."""
        if image.shape[:2] != self.size:
            image = cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_AREA)
        below, right = self.margin
        self.writer.write(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE))

    def close(self) -> None:
        self.writer.close()


class _H264:
    def __init__(self, path: Path, size: Tuple[int, int], fps: float) -> None:
        # fragments while it grows, a single index once it is closed
        options = dict(movflags='hybrid_fragmented+frag_keyframe', flush_packets='1')
        self.file = av.open(str(path), 'w', format='mp4', options=options)
        rate = Fraction(fps).limit_denominator(1001)
        self.stream = self.file.add_stream('libx264', rate=rate)
        self.stream.width, self.stream.height = size
        self.stream.pix_fmt = 'yuv420p'  # the only format that browsers play
        interval = str(round(KEY_FRAME_SECONDS * fps))
        self.stream.options = dict(preset='veryfast', crf='20', g=interval)
        # PyAV 19 would share one, which hangs after a fork because its threads are gone.
        self.reformatter = av.video.reformatter.VideoReformatter()

    def write(self, image: np.ndarray) -> None:
        frame = av.VideoFrame.from_ndarray(image, format='bgr24')
        self.file.mux(self.stream.encode(self.reformatter.reformat(frame, format='yuv420p')))

    def close(self) -> None:
        self.file.mux(self.stream.encode(None))
        self.file.close()


class _Vp8:
    def __init__(self, path: Path, size: Tuple[int, int], fps: float) -> None:
        with _quiet():
            self.file = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'VP80'), fps, size)
        if not self.file.isOpened():
            raise OSError(0, 'OpenCV writes no VP8 here; pip install av')

    def write(self, image: np.ndarray) -> None:
        self.file.write(image)

    def close(self) -> None:
        self.file.release()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide a warning of OpenCV's C code about a tag that WebM does not have."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
