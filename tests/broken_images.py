"""Image files that are unusual, damaged or hostile."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG whose header claims a size that its few bytes cannot have."""
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
    """Save an image with an EXIF orientation; ``size`` is before the rotation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    save_as(path, 'RGB', size, exif=exif)


def tiff_bomb(width: int, height: int, bits: int = 8, samples: int = 1, tags=()) -> bytes:
    """Return a TIFF of a few kilobytes whose strips are all the same compressed zeros.

    Args:
        width: In pixels.
        height: In pixels.
        bits: Of a sample.
        samples: 1 is grey, 3 is RGB.
        tags: Further or contradicting entries of the directory: tag, type, values.
    """
    rows = 64
    strips = -(-height // rows)
    strip = zlib.compress(bytes(width * rows * samples * bits // 8), 9)
    entries = [
        (256, 'I', [width]),
        (257, 'I', [height]),
        (258, 'H', [bits] * samples),
        (259, 'H', [8]),  # deflate
        (262, 'H', [1 if samples == 1 else 2]),
        (273, 'I', [8] * strips),
        (277, 'H', [samples]),
        (278, 'I', [rows]),
        (279, 'I', [len(strip)] * strips),
        *tags,
    ]
    content, table = b'', struct.pack('<H', len(entries))
    for tag, kind, values in sorted(entries, key=lambda entry: entry[0]):
        cell = struct.pack(f'<{len(values)}{kind}', *values)
        if len(cell) > 4:
            content, cell = content + cell, struct.pack('<I', 8 + len(strip) + len(content))
        table += struct.pack('<HHI', tag, 3 if kind == 'H' else 4, len(values)) + cell.ljust(
            4, b'\0'
        )
    place = 8 + len(strip) + len(content)
    return b'II*\0' + struct.pack('<I', place) + strip + content + table + bytes(4)


def rle_bmp(width: int, height: int) -> bytes:
    """Return a BMP of a kilobyte whose run-length encoding fills any size."""
    pixels = b'\xff\0' * 10 + b'\0\1'
    offset = 14 + 40 + 1024
    header = struct.pack('<2sIHHI', b'BM', offset + len(pixels), 0, 0, offset)
    info = struct.pack('<IiiHHIIiiII', 40, width, height, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    return header + info + bytes(1024) + pixels
