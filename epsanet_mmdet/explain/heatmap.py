"""Heat maps over images."""

from typing import List

import cv2
import numpy as np

COLOURS = cv2.COLORMAP_TURBO
OPACITY = 0.6
FULL = 0.25  # heat from which a fading map is as opaque as another


def draw_heat(image: np.ndarray, heat: np.ndarray, fading: bool = False) -> np.ndarray:
    """Return an image in grey under a heat map.

    Args:
        image: BGR image, uint8 of shape (height, width, 3).
        heat: From 0 to 1, of any height and width; it is enlarged to those of the image.
        fading: Let the map fade out where there is little heat.
    """
    heat = cv2.resize(np.asarray(heat, np.float32), image.shape[1::-1])
    colours = cv2.applyColorMap((255 * heat).round().astype(np.uint8), COLOURS)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None]
    opacity = _opacity(heat, fading)[..., None]
    return (grey * (1 - opacity) + colours * opacity).round().astype(np.uint8)


def css_colours(fading: bool = False, count: int = 12) -> List[str]:
    """Return colours from the lowest to the highest heat, for HTML."""
    ramp = np.linspace(0, 1, count, dtype=np.float32)
    colours = cv2.applyColorMap((255 * ramp).round().astype(np.uint8)[:, None], COLOURS)[:, 0]
    opacities = _opacity(ramp, fading) / OPACITY
    return [f'rgb({r} {g} {b} / {a:.2f})' for (b, g, r), a in zip(colours.tolist(), opacities)]


def _opacity(heat: np.ndarray, fading: bool) -> np.ndarray:
    return OPACITY * ((heat / FULL).clip(0, 1) if fading else np.ones_like(heat))
