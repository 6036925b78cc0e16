"""Heat maps over images."""

from typing import List

import cv2
import numpy as np

COLOURS = cv2.COLORMAP_TURBO
OPACITY = 0.55


def draw_heat(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return an image under a heat map.

    Args:
        image: BGR image, uint8 of shape (height, width, 3).
        heat: From 0 to 1, of any height and width; it is enlarged to those of the image.
    """
    heat = cv2.resize(np.asarray(heat, np.float32), image.shape[1::-1])
    colours = cv2.applyColorMap((255 * heat.clip(0, 1)).round().astype(np.uint8), COLOURS)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(grey, 1 - OPACITY, colours, OPACITY, 0)


def css_colours(count: int = 8) -> List[str]:
    """Return colours from the lowest to the highest heat, for HTML."""
    ramp = np.linspace(0, 255, count).round().astype(np.uint8)[:, None]
    return [f'rgb{tuple(c[0][::-1].tolist())}' for c in cv2.applyColorMap(ramp, COLOURS)]
