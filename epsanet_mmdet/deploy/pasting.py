"""Pasting the masks of boxes into an image."""

import torch
from torch import Tensor


def paste_masks(masks: Tensor, boxes: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Return masks of boxes as masks of the image, interpolated bilinearly and 0 outside.

    Bilinear interpolation is separable, so two matrix products per mask compute what mmdet samples
    pixel by pixel.

    Args:
        masks: (N, h, w).
        boxes: (N, 4).
        height: Height of the image.
        width: Width of the image.

    Returns:
        (N, height, width).
    """
    rows = _interpolation(boxes[:, 1], boxes[:, 3], height, masks.shape[1])
    columns = _interpolation(boxes[:, 0], boxes[:, 2], width, masks.shape[2])
    return rows @ masks @ columns.transpose(1, 2)


def _interpolation(start: Tensor, end: Tensor, pixels: Tensor, cells: int) -> Tensor:
    """Return the weight of each of the cells between start and end at each pixel.

    Shape:
        (N,) and (N,) -> (N, pixels, cells).
    """
    centres = torch.arange(pixels, device=start.device).to(start.dtype) + 0.5
    places = (centres - start[:, None]) / (end - start)[:, None] * cells - 0.5
    distances = (places[..., None] - torch.arange(cells, device=start.device)).abs()
    return (1 - distances).clamp(min=0)
