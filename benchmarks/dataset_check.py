"""Measure the time and memory of epsanet check on generated photographs with polygons.

Memory is that of the process and its workers together; shared pages count once.
"""

import json
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.own_data.check import run_check
from epsanet_mmdet.utils.command_line import run_command


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument(
        '--images', type=int, default=5000, help='number of images (default: %(default)s)'
    )
    parser.add_argument(
        '--objects', type=int, default=20, help='objects per image (default: %(default)s)'
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=(640, 480),
        help='width and height of the images (default: 640 480)',
    )
    return parser.parse_args()


def write_data(root: Path, count: int, objects: int, width: int, height: int) -> None:
    """Write JPEGs of cloudy noise, with the file size of photographs, and their annotations."""
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(1, count + 1):
        clouds = random.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
        pixels = np.asarray(Image.fromarray(clouds).resize((width, height), Image.BICUBIC))
        noise = random.integers(0, 32, pixels.shape, dtype=np.uint8)
        Image.fromarray(pixels // 2 + noise).save(root / f'{number:06}.jpg', quality=88)
        images.append(dict(id=number, file_name=f'{number:06}.jpg', width=width, height=height))
        for _ in range(objects):
            angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
            radius = random.uniform(8, 60)
            centre = random.uniform([radius, radius], [width - radius, height - radius])
            points = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
            (x1, y1), (x2, y2) = points.min(0), points.max(0)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=int(random.integers(1, 11)),
                    bbox=np.round([x1, y1, x2 - x1, y2 - y1], 2).tolist(),
                    area=3.1 * radius**2,
                    segmentation=[points.round(2).ravel().tolist()],
                    iscrowd=0,
                )
            )
    categories = [dict(id=i, name=f'class {i}') for i in range(1, 11)]
    content = dict(images=images, annotations=annotations, categories=categories)
    (root / 'train.json').write_text(json.dumps(content))


class MemoryMeter(threading.Thread):
    """Sample the memory of this process and its children; ``peak`` is in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.running = 0, True

    def run(self) -> None:
        while self.running:
            children = Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()
            self.peak = max(self.peak, sum(map(proportional_size, [str(os.getpid()), *children])))
            time.sleep(0.2)


def proportional_size(pid: str) -> int:
    try:
        lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    except OSError:  # the process has ended
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith('Pss:'))


def main():
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), args.images, args.objects, *args.size)
        meter = MemoryMeter()
        meter.start()
        start = time.perf_counter()
        run_check([folder], limit=3)
        seconds = time.perf_counter() - start
        meter.running = False
    print(f'{seconds:.1f} s, peak memory {meter.peak / 1e6:.0f} MB')


if __name__ == '__main__':
    run_command(main)
