"""Image files that are unusual, damaged or hostile."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def png_claiming(width: int, height: int) -> bytes:
    """Give a PNG whose header claims a size that its few bytes do not have."""
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    chunks = ((b'IHDR', header), (b'IDAT', zlib.compress(bytes(100))), (b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks
    )


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def save_as(path: Path, mode: str, size=(64, 48), **options) -> None:
    """Save random pixels in one of Pillow's modes."""
    random = np.random.default_rng(0)
    if mode == 'I;16':
        pixels = random.integers(0, 65536, size[::-1], dtype=np.uint16)
        Image.fromarray(pixels).save(path, **options)
        return
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands) if bands > 1 else size[::-1]
    pixels = random.integers(0, 256, shape, dtype=np.uint8)
    Image.frombytes(mode, size, pixels.tobytes()).save(path, **options)


def save_turned(path: Path, orientation: int, size=(64, 48)) -> None:
    """Save an image that EXIF says to turn; ``size`` is before the turn."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    save_as(path, 'RGB', size, exif=exif)
