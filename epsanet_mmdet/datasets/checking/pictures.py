"""Small pictures with their annotations drawn, for the page."""

import base64
import colorsys
import io
from typing import Dict, List, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from pycocotools import mask as coco_mask

from ..formats import Split
from ..image_files import FORMATS
from .segmentation import encode

EXTENT = 420  # pixels of the longer side


def colours(split: Split) -> Dict[int, str]:
    """Return a colour for each category, by its id."""
    ids = [category['id'] for category in split.categories]
    tones = [colorsys.hsv_to_rgb(i * 0.618 % 1, 0.85, 1.0) for i in range(len(ids))]
    return {
        number: '#' + ''.join(f'{round(255 * v):02x}' for v in tone)
        for number, tone in zip(ids, tones)
    }


def draw(split: Split, image: Dict, annotations: List[Dict]) -> str:
    """Draw an image with its annotations, and give it as a data URI."""
    with Image.open(split.path_of(image['file_name']), formats=FORMATS) as file:
        file.draft('RGB', (EXTENT, EXTENT))
        picture = _eight_bits(ImageOps.exif_transpose(file))
    picture.thumbnail((EXTENT, EXTENT))
    factors = picture.width / image['width'], picture.height / image['height']
    table = colours(split)
    for annotation in annotations:
        colour = table[annotation['category_id']]
        _draw_mask(picture, annotation, image, factors, colour)
        x, y, w, h = annotation['bbox']
        corners = [x * factors[0], y * factors[1], (x + w) * factors[0], (y + h) * factors[1]]
        ImageDraw.Draw(picture).rectangle(corners, outline=colour, width=2)
    buffer = io.BytesIO()
    picture.save(buffer, 'JPEG', quality=80)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode()


def _draw_mask(
    picture: Image.Image, annotation: Dict, image: Dict, factors: Tuple[float, float], colour: str
) -> None:
    segmentation = annotation.get('segmentation')
    if not segmentation:
        return
    cover = Image.new('L', picture.size)
    if isinstance(segmentation, dict):
        mask = coco_mask.decode(encode(segmentation, (image['width'], image['height'])))
        cover = Image.fromarray(mask * np.uint8(110)).resize(picture.size, Image.NEAREST)
    else:
        for polygon in segmentation:
            points = [(x * factors[0], y * factors[1]) for x, y in zip(polygon[::2], polygon[1::2])]
            ImageDraw.Draw(cover).polygon(points, fill=110)
    picture.paste(Image.new('RGB', picture.size, colour), mask=cover)


def _eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(('I', 'F')):
        values = np.nan_to_num(np.asarray(picture, dtype=float))
        low, high = values.min(), values.max()
        return Image.fromarray(
            ((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
        ).convert('RGB')
    return picture.convert('RGB')
