"""Reading of image files that may be damaged or hostile."""

import functools
import hashlib
import io
import os
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Iterator, List, Optional, Tuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import DataError
from .files import open_regular, read_bytes
from .text import printable

# Pillow also reads formats that run other programs, or that mmdet's OpenCV does not read.
FORMATS = ('JPEG', 'PNG', 'BMP', 'WEBP', 'TIFF', 'PPM', 'GIF', 'JPEG2000')
SUFFIXES = frozenset('.jpg .jpeg .jpe .png .bmp .webp .tif .tiff .pgm .ppm .gif .jp2'.split())
READ_BY_BOTH = ('JPEG', 'MPO', 'PNG', 'BMP')  # OpenCV decodes what Pillow decodes of these
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a GiB in RGB
SLOW_PIXELS = MAX_PIXELS // 8  # in formats that take seconds to decode
MAX_BYTES = 8 * MAX_PIXELS  # more than any image of MAX_PIXELS takes
SCANNED_PIXELS = 4 * MAX_PIXELS  # over all scans of a JPEG
CRASHING = ('4.10.', '4.11.')  # OpenCV with CVE-2025-53644: damaged JPEG 2000 corrupts its memory
MAX_TAGS = 1000  # of a TIFF
STRIP = 256  # rows hashed at once
ORIENTATION = 0x0112


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image file.

    Args:
        fault: Why the image cannot be used, or None; only then are the other facts known.
        size: Width and height in pixels after the EXIF rotation, as mmdet loads the image.
        stored_size: Width and height in pixels before the EXIF rotation.
        orientation: EXIF orientation, 1 to 8; 1 is upright.
        mode: Pillow's mode, such as ``'RGB'``.
        digest: Hash of the pixels, the same for identical images.
    """

    fault: Optional[str] = None
    size: Tuple[int, int] = (0, 0)
    stored_size: Tuple[int, int] = (0, 0)
    orientation: int = 1
    mode: str = ''
    digest: str = ''


def images_below(folder: Path) -> List[Path]:
    """Return the image files in a folder and its subfolders by their extension, sorted."""
    return sorted(p for p in folder.rglob('*') if p.suffix.lower() in SUFFIXES and p.is_file())


def read_image(path: str) -> ImageFacts:
    """Decode an image completely and return its facts, including a fault; nothing is raised."""
    try:
        with _open(path) as image:
            return _facts(image, path)
    except DataError as error:
        return ImageFacts(str(error))


def load_image(path: str) -> np.ndarray:
    """Decode an image as mmdet does in training: 8-bit BGR, rotated according to EXIF.

    The header is checked first, since OpenCV would decode a file of 17 KB to 1,024 megapixels.
    Images whose header Pillow cannot read are refused, since their size is unknown.

    Returns:
        uint8 of shape (height, width, 3).

    Raises:
        DataError: The fault, without the name of the file.
    """
    fault = header_fault(path)
    if fault:
        raise DataError(fault)
    try:
        image = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error, MemoryError) as error:
        raise DataError(_reason(error))
    if image is None:
        raise DataError('cannot be decoded; save it again as PNG or JPEG')
    return image


def is_image(path: str) -> bool:
    """Return True if a file starts like an image, whatever its name and size."""
    try:
        with open_regular(path) as file, Image.open(file, formats=FORMATS):
            return True
    except Exception as error:  # Pillow's decoders raise many types
        return isinstance(error, Image.DecompressionBombError)


def read_size(path: str) -> Optional[Tuple[int, int]]:
    """Return width and height in pixels, as mmdet loads the image, from its header; None if bad."""
    try:
        with _open(path) as image:
            return _displayed(image.size, _orientation(image))
    except DataError:
        return None


def header_fault(path: str) -> Optional[str]:
    """Return the fault of a damaged or too large image that its header shows, or None."""
    try:
        with _open(path) as image:
            return _gigantic(image) or _opencv_fault(image)
    except DataError as error:
        return str(error)


@contextmanager
def _open(path: str) -> Iterator[Image.Image]:
    """Open an image without decoding it; errors in the block too become a DataError."""
    try:
        with open_regular(path) as file:
            fault = _length_fault(file)
            if fault:
                raise DataError(fault)
            with Image.open(file, formats=FORMATS) as image:
                yield image
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise many types
        raise DataError(_reason(error))


def _length_fault(file: BinaryIO) -> Optional[str]:
    """Return a fault if a file is empty or, like a sparse file can be, too long for an image."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    if length > MAX_BYTES:
        return f'gigantic: {length} bytes, more than {MAX_BYTES} are not read; save it compressed'
    return None if length else 'empty file'


def _opencv_fault(image: Image.Image) -> Optional[str]:
    """Return a fault if OpenCV may crash or take gigabytes where Pillow ends in an error."""
    if image.format == 'JPEG2000' and cv2.__version__.startswith(CRASHING):
        return (
            f'JPEG 2000, on which OpenCV {cv2.__version__} may crash; install opencv-python>=4.12 '
            'or save it as PNG'
        )
    check = dict(PNG=_chunk_fault, TIFF=_tag_fault).get(image.format)
    return check(image) if check else None


def _chunk_fault(image: Image.Image) -> Optional[str]:
    """Return a fault if the chunks of a PNG exceed its file: OpenCV 5 would allocate gigabytes."""
    file, before = image.fp, image.fp.tell()
    length = file.seek(0, os.SEEK_END)
    place, kind = 8, b''
    while kind != b'IEND' and place + 12 <= length:
        file.seek(place)
        size, kind = struct.unpack('>I4s', file.read(8))
        place += 12 + size
    file.seek(before)
    whole = kind == b'IEND' and place <= length
    return None if whole else 'cannot be decoded: its chunks are cut off or damaged'


def _tag_fault(image: Image.Image) -> Optional[str]:
    """Return a fault if a TIFF repeats tags, of which Pillow and OpenCV may read different ones."""
    file, before = image.fp, image.fp.tell()
    file.seek(0)
    header = file.read(16)
    order = '<' if header.startswith(b'II') else '>'
    big = struct.unpack_from(f'{order}H', header, 2)[0] == 43  # BigTIFF
    place, number, length = (8, 'Q', 20) if big else (4, 'I', 12)
    file.seek(struct.unpack_from(f'{order}{number}', header, place)[0])
    counter = struct.Struct(order + ('Q' if big else 'H'))
    count = counter.unpack(file.read(counter.size))[0]
    entries = file.read(min(count, MAX_TAGS) * length)
    file.seek(before)
    tags = {struct.unpack_from(f'{order}H', entries, i)[0] for i in range(0, len(entries), length)}
    if len(tags) == count:
        return None
    return 'cannot be decoded: its TIFF tags are repeated or cut off; save it as PNG or JPEG'


def _gigantic(image: Image.Image, scans: Optional[int] = None) -> Optional[str]:
    """Return a fault if an image takes too much time or memory to decode.

    Args:
        image: Image, opened but not decoded.
        scans: Number of scans of a JPEG; None to count them if it is progressive.
    """
    pixels, size = image.width * image.height, f'{image.width}x{image.height}'
    limit = SLOW_PIXELS if image.format == 'JPEG2000' else MAX_PIXELS
    if pixels > limit:
        return f'gigantic: {size} pixels, more than {limit} are not read; cut it into tiles'
    if scans is None and image.info.get('progressive'):
        scans = _scans(image)
    if scans and scans * pixels > SCANNED_PIXELS:
        return f'gigantic: {size} pixels in {scans} scans; save it as a plain JPEG'
    return None


def _scans(image: Image.Image) -> int:
    place = image.fp.tell()
    image.fp.seek(0)
    count = image.fp.read().count(b'\xff\xda')
    image.fp.seek(place)
    return count


def _facts(image: Image.Image, path: str) -> ImageFacts:
    fault = _gigantic(image, _scans(image) if image.format in ('JPEG', 'MPO') else None)
    fault = fault or _opencv_fault(image)
    if fault:
        return ImageFacts(fault)
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
    if image.format == 'TIFF':  # Pillow rotates these itself
        return 1
    if image.format == 'WEBP' and not _opencv_turns_webp():
        return 1
    value = image.getexif().get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


@functools.cache
def _opencv_turns_webp() -> bool:
    """Return True if OpenCV rotates WebP images according to EXIF: 5.0 does, 4.11 does not."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    file = io.BytesIO()
    Image.new('RGB', (2, 1)).save(file, 'WEBP', exif=exif)
    turned = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    return turned.shape[:2] == (2, 1)


def _displayed(size: Tuple[int, int], orientation: int) -> Tuple[int, int]:
    return (size[1], size[0]) if orientation >= 5 else size


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f'gigantic: {error}'
    if isinstance(error, FileNotFoundError):
        return 'missing'
    if isinstance(error, OSError) and error.strerror:
        return f'unreadable: {error.strerror}'
    if isinstance(error, UnidentifiedImageError):  # its text names the open file
        return (
            'cannot be decoded: its header is damaged or its format is not supported; save it as '
            'PNG or JPEG'
        )
    text = str(error).splitlines()
    return f'cannot be decoded: {printable(text[0], 200) if text else type(error).__name__}'
