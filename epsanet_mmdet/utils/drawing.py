"""Masks, boxes and labels drawn into an image, in one colour per class."""

import colorsys
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Iterable, List, Optional, Sequence, Tuple

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .text import printable

FONT = Path('fonts', 'ttf', 'DejaVuSans.ttf')  # Matplotlib's: Latin, Greek, Cyrillic, ...
# Sasha Trubetskoy's list of distinct colours, without grey, black and white
PALETTE = (
    '4363d8 e6194b 3cb44b f58231 ffe119 911eb4 42d4f4 f032e6 bfef45 469990 '
    'fabed4 9a6324 dcbeff aaffc3 808000 ffd8b1 800000 fffac8 000075'
).split()
GOLDEN_RATIO = 0.618034  # multiples of it are spread evenly over the hues
OPACITY = 0.45  # of masks
LABEL_LENGTH = 40  # characters
TITLE_LENGTH = 300

Colour = Tuple[int, int, int]
Rectangle = Tuple[int, int, int, int]


def class_colour(label: int) -> Colour:
    """Return the BGR colour of a class: from the palette, or a hue of its own beyond its end."""
    if label < len(PALETTE):
        red, green, blue = bytes.fromhex(PALETTE[label])
    else:
        tone = colorsys.hsv_to_rgb(label * GOLDEN_RATIO % 1, 0.7, 0.95)
        red, green, blue = (round(255 * value) for value in tone)
    return blue, green, red


def css_colour(label: int) -> str:
    """Return the colour of a class for HTML."""
    return f'rgb{class_colour(label)[::-1]}'


def draw_objects(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: Sequence[int],
    texts: Sequence[str] = (),
    masks: Optional[Iterable[np.ndarray]] = None,
    scale: float = 1,
) -> np.ndarray:
    """Draw objects into a copy of an image.

    Small masks are drawn over large ones, and labels over everything.

    Args:
        image: BGR image, uint8 of shape (height, width, 3).
        boxes: Left, top, right and bottom in pixels, of shape (n, 4), highest score first.
        labels: Class of each object, from 0, which chooses its colour.
        texts: Label of each object, such as ``'cat 0.93'``; empty for no labels.
        masks: n masks of shape (height, width), or None.
        scale: Factor by which image and objects are enlarged, so that lines and labels fit it.

    Returns:
        An image of the same shape, or enlarged.
    """
    canvas = np.ascontiguousarray(image).copy()
    if scale != 1:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        size = [max(1, round(scale * side)) for side in canvas.shape[1::-1]]
        canvas = cv2.resize(canvas, size, interpolation=how)
        boxes = scale * np.asarray(boxes, float)
        if masks is not None:
            masks = [cv2.resize(np.asarray(mask, np.uint8), size) for mask in masks]
    height, width = canvas.shape[:2]
    line = max(1, round(min(height, width) / 360))
    limits = np.array([width - 1, height - 1] * 2)
    corners = np.nan_to_num(np.asarray(boxes, float).reshape(-1, 4)).clip(0, limits)
    corners = corners.round().astype(int).tolist()
    colours = [class_colour(int(label)) for label in labels]
    if masks is not None:
        _draw_masks(canvas, list(masks), colours, line)
    for (left, top, right, bottom), colour in zip(corners[::-1], colours[::-1]):
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, line)
    _draw_labels(canvas, corners, colours, texts, line)
    return canvas


def add_title(image: np.ndarray, title: str, size: int = 15) -> np.ndarray:
    """Return an image below a white banner with a title, which is cut to the width.

    Args:
        image: BGR image, uint8 of shape (height, width, 3).
        title: The title; control characters are escaped.
        size: Size of its letters in pixels.
    """
    letters = _letters(printable(title, TITLE_LENGTH), size)
    banner = np.full((letters.shape[0] + size // 2, image.shape[1]), 255, np.uint8)
    top, left = size // 4, size // 3
    inner = banner[top : top + letters.shape[0], left:]
    shown = letters[:, : inner.shape[1]]
    inner[:, : shown.shape[1]] -= shown
    return np.vstack([cv2.cvtColor(banner, cv2.COLOR_GRAY2BGR), image])


def _draw_masks(
    canvas: np.ndarray, masks: Sequence[np.ndarray], colours: Sequence[Colour], line: int
) -> None:
    masks = [np.ascontiguousarray(mask).view(np.uint8) for mask in masks]
    extents = [cv2.boundingRect(mask) for mask in masks]
    for i in sorted(range(len(masks)), key=lambda i: -extents[i][2] * extents[i][3]):
        left, top, width, height = extents[i]
        if not width:
            continue
        part = canvas[top : top + height, left : left + width]
        mask = masks[i][top : top + height, left : left + width]
        tinted = cv2.addWeighted(part, 1 - OPACITY, np.full_like(part, colours[i]), OPACITY, 0)
        cv2.copyTo(tinted, mask, part)
        contours = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)[0]
        cv2.drawContours(canvas, contours, -1, colours[i], line, cv2.LINE_AA, offset=(left, top))


def _draw_labels(
    canvas: np.ndarray,
    corners: Sequence[Sequence[int]],
    colours: Sequence[Colour],
    texts: Sequence[str],
    line: int,
) -> None:
    height, width = canvas.shape[:2]
    size = max(10, round(min(height, width) / 50))
    tags: List[Tuple[Rectangle, Colour, np.ndarray]] = []
    placed: List[Rectangle] = []
    for box, colour, text in zip(corners, colours, texts):
        letters = _letters(printable(text, LABEL_LENGTH), size)
        tag = letters.shape[1] + size // 2 + 1, letters.shape[0] + size // 3
        placed.append((*_place(box, tag, placed, (width, height), line), *tag))
        tags.append((placed[-1], colour, letters))
    tags.reverse()  # the highest score on top
    for (left, top, tag_width, tag_height), colour, letters in tags:
        part = canvas[top : top + tag_height, left : left + tag_width]
        part[:] = colour
        y, x = size // 6, size // 4
        inner = part[y : y + letters.shape[0], x : x + letters.shape[1]]
        cover = letters[: inner.shape[0], : inner.shape[1], None].astype(np.float32) / 255
        inner[:] = inner + cover * (_ink(colour) - inner.astype(np.float32))


def _ink(colour: Colour) -> int:
    """Return black or white, whichever has more contrast to a colour by WCAG's formula."""
    luminance = np.dot((0.0722, 0.7152, 0.2126), (np.array(colour) / 255) ** 2.2)
    return 0 if luminance > 0.179 else 255


def _place(
    box: Sequence[int],
    tag: Tuple[int, int],
    placed: Sequence[Rectangle],
    limits: Tuple[int, int],
    line: int,
) -> Tuple[int, int]:
    """Return a place for a label above, inside or below its box, the first that is free."""
    left, top, right, bottom = box
    half = line // 2
    corners = [
        (left - half, top - tag[1] - half),
        (left, top),
        (right - tag[0], top - tag[1] - half),
        (left, bottom - tag[1]),
        (left - half, bottom + half),
        (right - tag[0], bottom + half),
    ]
    starts = np.clip(corners, 0, np.maximum(0, np.subtract(limits, tag)))[:, None]
    others = np.array(placed).reshape(-1, 4)
    shared = np.minimum(starts + tag, others[:, :2] + others[:, 2:])
    shared = (shared - np.maximum(starts, others[:, :2])).clip(0)
    return tuple(starts[shared.prod(-1).sum(-1).argmin(), 0].tolist())


@lru_cache(maxsize=1024)
def _letters(text: str, size: int) -> np.ndarray:
    """Return the coverage of each pixel by a text, uint8 of shape (height, width)."""
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path(), FONT)), size)
    image = Image.new('L', (max(1, ceil(font.getlength(text))), sum(font.getmetrics())))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.array(image)
