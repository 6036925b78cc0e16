"""Images and videos to detect objects in."""

import cv2
import numpy as np
from PIL import Image


def picture(path, mode='RGB', size=(12, 8), color=None, **options):
    """Write an image of one colour and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color or 0).save(path, **options)
    return str(path)


def video(path, frames=5, size=(64, 48)):
    """Write an MPEG-4 video whose frames become brighter, and return its path."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10.0, size)
    for i in range(frames):
        writer.write(np.full((size[1], size[0], 3), 40 * i % 256, np.uint8))
    writer.release()
    return str(path)


def count_frames_of(path):
    """Return the number of frames of a video that can be decoded."""
    capture, frames = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        frames += 1
    return frames
