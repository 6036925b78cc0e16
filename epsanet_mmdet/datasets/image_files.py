"""Reading one image file, which may be damaged or hostile."""

import hashlib
from dataclasses import dataclass
from typing import Optional, Tuple

import cv2
import numpy as np
from PIL import Image

# Pillow also reads formats that run other programs or that OpenCV, which mmdet uses, does not know.
FORMATS = ('JPEG', 'PNG', 'BMP', 'WEBP', 'TIFF', 'PPM', 'GIF', 'JPEG2000')
SUFFIXES = frozenset('.jpg .jpeg .jpe .png .bmp .webp .tif .tiff .pgm .ppm .gif .jp2'.split())
READ_BY_BOTH = ('JPEG', 'MPO', 'PNG', 'BMP')  # what Pillow decodes of these, OpenCV does too
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a GiB in RGB
STRIP = 256  # rows hashed at a time
ORIENTATION = 0x0112


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image file.

    Args:
        fault: What is wrong with it, or None; then the rest is known.
        size: Width and height in pixels as mmdet loads it, that is, turned as EXIF says.
        stored_size: Width and height in pixels before that.
        orientation: EXIF orientation, 1 to 8; 1 is upright.
        mode: Pillow's name of the kind of pixels.
        digest: Hash of the pixels; the same for identical images.
    """

    fault: Optional[str] = None
    size: Tuple[int, int] = (0, 0)
    stored_size: Tuple[int, int] = (0, 0)
    orientation: int = 1
    mode: str = ''
    digest: str = ''


def read_image(path: str) -> ImageFacts:
    """Decode an image completely and say what it is; a fault is returned, never raised."""
    try:
        with open(path, 'rb') as file:
            if not file.read(1):
                return ImageFacts('empty file')
            file.seek(0)
            with Image.open(file, formats=FORMATS) as image:
                return _facts(image, path)
    except FileNotFoundError:
        return ImageFacts('missing')
    except Exception as error:  # Pillow's decoders raise many kinds
        return ImageFacts(_reason(error))


def read_size(path: str) -> Optional[Tuple[int, int]]:
    """Read width and height in pixels, as mmdet loads the image, from its header alone."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return _displayed(image.size, _orientation(image))
    except Exception:  # as above; the fault is reported when the image is decoded
        return None


def _facts(image: Image.Image, path: str) -> ImageFacts:
    if image.width * image.height > MAX_PIXELS:
        return ImageFacts(
            f'gigantic: {image.width}x{image.height} pixels, more than {MAX_PIXELS} cannot be '
            'trained on; cut it into tiles'
        )
    kind, orientation = image.format, _orientation(image)
    image.load()
    if kind not in READ_BY_BOTH and not _opencv_reads(path):
        return ImageFacts(f'cannot be decoded by OpenCV ({kind}); save it as PNG or JPEG')
    digest = hashlib.blake2b(f'{image.mode} {image.size}'.encode(), digest_size=16)
    for top in range(0, image.height, STRIP):
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height)))
        digest.update(strip.tobytes())
    size = _displayed(image.size, orientation)
    return ImageFacts(None, size, image.size, orientation, image.mode, digest.hexdigest())


def _opencv_reads(path: str) -> bool:
    try:
        return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) is not None
    except cv2.error:
        return False


def _orientation(image: Image.Image) -> int:
    if image.format == 'TIFF':  # Pillow turns these itself
        return 1
    value = image.getexif().get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _displayed(size: Tuple[int, int], orientation: int) -> Tuple[int, int]:
    return (size[1], size[0]) if orientation >= 5 else size


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f'gigantic: {error}'
    if isinstance(error, OSError) and error.strerror:
        return f'unreadable: {error.strerror}'
    text = str(error).splitlines()
    return f'cannot be decoded: {text[0] if text else type(error).__name__}'
