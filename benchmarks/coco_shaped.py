"""Write generated images and annotations in the place and with the statistics of COCO 2017.

With them, everything of a plan on COCO but its AP can be tried without COCO: checks, start-up,
memory, data loading, checkpoints, resuming and the report.
"""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import cv2
import numpy as np
from mmdet.datasets import CocoDataset

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.errors import DataError
from epsanet_mmdet.utils.command_line import run_command
from epsanet_mmdet.utils.storage import write_json, write_whole

# Sources: counts, shares and file sizes of the distributed instances_{train,val}2017.json and
# train2017.zip; sizes of objects from https://cocodataset.org/#detection-eval.
SPLITS = {'train': (118287, 860001, 0.9914), 'val': (5000, 36781, 0.9904)}  # share with objects
MISSING_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
PERSON = 0.305  # of the objects; the other classes share the rest equally
CROWD = 0.01  # of the objects
AREAS = ((0.41, 20, 32**2), (0.34, 32**2, 96**2), (0.25, 96**2, 400**2))  # share, pixels
VERTICES = 22  # mean, at which the annotations have COCO's 450 MB
IMAGE_SIZES = ((640, 480),) * 4 + ((640, 427),) * 3 + ((480, 640),) * 2 + ((500, 375),)
PICTURES = 40  # distinct files of each split; ext4 allows 65,000 names of each
LARGEST_ID = 581929
STAMP = 'coco_shaped.json'
BLOCK = 20000  # objects


def parse_args():
    parser = CommandParser(description=__doc__)
    parser.add_argument('out', help='folder for the data; one of an earlier call is replaced')
    for split, (images, *_) in SPLITS.items():
        parser.add_argument(
            f'--{split}', type=int, default=images, help='number of images (default: %(default)s)'
        )
    parser.add_argument('--seed', type=int, default=0, help='of all choices (default: 0)')
    return parser.parse_args()


def write_coco_shaped(
    out: str, train: int = SPLITS['train'][0], val: int = SPLITS['val'][0], seed: int = 0
) -> None:
    """Write ``annotations/instances_{train,val}2017.json``, ``train2017`` and ``val2017``.

    The images are a few dozen JPEGs of noise with the sizes of COCO's, in pixels and bytes. All
    others are hard links to them, or copies where the file system has no links.

    Args:
        out: Folder to write. One that this function wrote is replaced.
        train: Number of training images.
        val: Number of validation images.
        seed: Equal seeds produce equal data.

    Raises:
        DataError: If the folder holds anything else, or a number is out of range.
        StorageError: If the disk is full, read-only or the like.
    """
    if min(train, val) < 1 or train + val > LARGEST_ID:
        raise DataError(f'a tree has 1 to {LARGEST_ID} images, but got {train} and {val}')
    root, settings = Path(out), dict(train=train, val=val, seed=seed)
    ann_files = {name: root / 'annotations' / f'instances_{name}2017.json' for name in SPLITS}
    _clear(root, settings)
    random = np.random.default_rng(seed)
    ids = np.sort(random.choice(LARGEST_ID, train + val, replace=False) + 1)
    in_val = np.zeros(len(ids), bool)
    in_val[random.choice(len(ids), val, replace=False)] = True
    for name, image_ids in dict(train=ids[~in_val], val=ids[in_val]).items():
        images = _write_images(root / f'{name}2017', image_ids.tolist(), random)
        _, objects, share = SPLITS[name]
        objects = round(objects * len(images) / SPLITS[name][0])
        write_whole(_annotations(images, objects, share, name, random), ann_files[name])


def _clear(root: Path, settings: Dict) -> None:
    """Remove the data of an earlier call, and mark the folder as one of this program."""
    used = any(root.iterdir()) if root.is_dir() else root.exists()
    if used and not (root / STAMP).is_file():
        raise DataError(f"'{root}' was not written by this program; name another folder")
    for name in ('annotations', *(f'{split}2017' for split in SPLITS)):
        shutil.rmtree(root / name, ignore_errors=True)
    write_json(settings, root / STAMP)


def _write_images(folder: Path, ids: List[int], random: np.random.Generator) -> List[Dict]:
    """Write images, and return COCO's entries for them."""
    folder.mkdir(parents=True)
    choices = random.integers(PICTURES, size=len(ids)).tolist()
    pictures: List[Path] = []
    images = []
    for number, image_id in enumerate(ids):
        path = folder / f'{image_id:012}.jpg'
        if len(pictures) < PICTURES:
            choice = len(pictures)
            write_whole(_jpeg(*_size(choice), random), path)
            pictures.append(path)
        else:
            choice = choices[number]
            _link(pictures[choice], path)
        width, height = _size(choice)
        images.append(dict(id=image_id, file_name=path.name, width=width, height=height))
        if (number + 1) % BLOCK == 0:
            print(f'{folder.name}: {number + 1} of {len(ids)} images', flush=True)
    return images


def _size(picture: int) -> Tuple[int, int]:
    return IMAGE_SIZES[picture % len(IMAGE_SIZES)]


def _jpeg(width: int, height: int, random: np.random.Generator) -> bytes:
    clouds = random.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    pixels = cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = random.integers(0, 40, pixels.shape, dtype=np.uint8)
    return cv2.imencode('.jpg', pixels // 2 + noise, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:  # no links here, or too many
        shutil.copyfile(source, path)


def categories() -> List[Dict]:
    """Return COCO's 80 categories with their ids, of which some from 1 to 90 are missing."""
    ids = (i for i in range(1, 91) if i not in MISSING_IDS)
    return [dict(id=i, name=name) for i, name in zip(ids, CocoDataset.METAINFO['classes'])]


def _annotations(
    images: List[Dict], objects: int, share: float, name: str, random: np.random.Generator
) -> bytes:
    """Return the content of an annotation file, with all objects distributed over the images."""
    annotated = random.permutation(len(images))[: max(1, round(share * len(images)))]
    shares = random.dirichlet(np.ones(len(annotated)))  # makes the counts geometric
    counts = 1 + random.multinomial(max(0, objects - len(annotated)), shares)
    owners = np.repeat(annotated, counts)
    head = dict(info=dict(description='generated, in the shape of COCO 2017'), licenses=[])
    text = json.dumps({**head, 'images': images, 'categories': categories()})
    parts = [text[:-1].encode(), b', "annotations": [']
    for start in range(0, len(owners), BLOCK):
        block = [images[i] for i in owners[start : start + BLOCK]]
        entries = list(_objects(block, start + 1, random))
        parts += [b', ' if start else b'', json.dumps(entries)[1:-1].encode()]
        print(f'{name}2017: {start + len(block)} of {len(owners)} objects', flush=True)
    return b''.join([*parts, b']}'])


def _objects(images: List[Dict], first_id: int, random: np.random.Generator) -> Iterator[Dict]:
    """Yield an object on each of the images."""
    count, known = len(images), categories()
    rest = (1 - PERSON) / (len(known) - 1)
    classes = random.choice(len(known), count, p=[PERSON] + [rest] * (len(known) - 1))
    crowd = random.random(count) < CROWD
    sizes = np.array([(image['width'], image['height']) for image in images])
    outlines = draw_outlines(sizes, random)
    for i, (image, points) in enumerate(zip(images, outlines)):
        low, high = points.min(0), points.max(0)
        mask, area = [points.ravel().tolist()], float(_area(points[None])[0])
        if crowd[i]:
            low, high = np.floor(low).astype(int), np.ceil(high).astype(int)
            mask, area = _run_lengths(low, high, *sizes[i]), int(np.prod(high - low))
        yield dict(
            id=first_id + i,
            image_id=image['id'],
            category_id=known[classes[i]]['id'],
            bbox=[*low.tolist(), *np.round(high - low, 2).tolist()],
            area=round(area, 4),
            segmentation=mask,
            iscrowd=int(crowd[i]),
        )


def draw_outlines(sizes: np.ndarray, random: np.random.Generator) -> List[np.ndarray]:
    """Return a star-shaped polygon (vertices, 2) inside each image, in pixels."""
    bins = np.array(AREAS)
    low, high = bins[random.choice(len(bins), len(sizes), p=bins[:, 0])][:, 1:].T
    areas = low * (high / low) ** random.random(len(sizes))
    vertices = np.minimum(4 + random.geometric(1 / (VERTICES - 4), len(sizes)), 200)
    outlines: List[np.ndarray] = [np.empty(0)] * len(sizes)
    for number in np.unique(vertices):
        (rows,) = np.nonzero(vertices == number)
        angles = (np.arange(number) + random.uniform(-0.4, 0.4, (len(rows), number))) / number
        radii = random.uniform(0.6, 1, angles.shape)
        points = np.stack([np.cos(2 * np.pi * angles), np.sin(2 * np.pi * angles)], 2)
        points *= radii[..., None]
        stretch = np.exp(random.uniform(-0.4, 0.4, len(rows)))
        points *= np.stack([stretch, 1 / stretch], 1)[:, None]
        points *= np.sqrt(areas[rows] / _area(points))[:, None, None]
        points -= points.min(1, keepdims=True)
        points *= np.minimum(1, (sizes[rows] / points.max(1)).min(1))[:, None, None]
        points += (random.random((len(rows), 2)) * (sizes[rows] - points.max(1)))[:, None]
        for row, outline in zip(rows, np.round(points, 2)):
            outlines[row] = outline
    return outlines


def _area(points: np.ndarray) -> np.ndarray:
    """Return the areas (n) of polygons (n, vertices, 2)."""
    x, y = points[..., 0], points[..., 1]
    return np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1)) / 2


def _run_lengths(low: np.ndarray, high: np.ndarray, width: int, height: int) -> Dict:
    """Return a box as the uncompressed run lengths of COCO's crowds, down the columns."""
    (x1, y1), (x2, y2) = low.tolist(), high.tolist()
    width, height, inside = int(width), int(height), y2 - y1
    counts = [x1 * height + y1, *[inside, height - inside] * (x2 - x1)]
    counts[-1] = (width - x2) * height + height - y2
    return dict(counts=counts, size=[height, width])


def main() -> None:
    args = parse_args()
    start = time.perf_counter()
    write_coco_shaped(args.out, args.train, args.val, args.seed)
    print(f'wrote {args.out} in {time.perf_counter() - start:.0f} s')


if __name__ == '__main__':
    run_command(main)
