"""A data set of 200 images, some of them rotten, for the checked data set and its report."""

import contextlib
import json
import logging
from pathlib import Path
from typing import Iterator, List

import numpy as np
from mmengine.logging import MMLogger
from PIL import Image

COUNT = 200  # so that one in a hundred is two
TRUNCATED, EMPTY = ('020.jpg', '120.jpg'), ('050.jpg', '150.jpg')
ROTTEN = {*TRUNCATED, *EMPTY}


def write_rotten(root: Path) -> Path:
    """Write images of one class, of which 1 % are truncated and 1 % empty."""
    write_sound(root)
    for name in TRUNCATED:
        truncate(root / 'images' / name)
    for name in EMPTY:
        (root / 'images' / name).write_bytes(b'')
    return root


def write_sound(root: Path, count: int = COUNT) -> Path:
    """Write images of one class with two objects each."""
    (root / 'images').mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    images, annotations = [], []
    for i in range(count):
        name = f'{i:03d}.{"png" if i % 2 else "jpg"}'
        Image.fromarray(np.roll(pixels, i)).save(root / 'images' / name)
        images.append(dict(id=i, file_name=name, width=32, height=24))
        for number in (2 * i + 1, 2 * i + 2):
            annotations.append(
                dict(id=number, image_id=i, category_id=1, bbox=[2, 2, 18, 16], area=288,
                     iscrowd=0, segmentation=[[2, 2, 20, 2, 20, 18, 2, 18]])
            )  # fmt: skip
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name='cat')])
    (root / 'train.json').write_text(json.dumps(content))
    return root


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@contextlib.contextmanager
def edited(root: Path) -> Iterator[dict]:
    """Yield the annotations to change, and write them back."""
    content = json.loads((root / 'train.json').read_text())
    yield content
    (root / 'train.json').write_text(json.dumps(content))


def edit(root: Path, **changes) -> None:
    """Change the first annotation."""
    with edited(root) as content:
        content['annotations'][0].update(changes)


def settings(root: Path, **options) -> dict:
    """Return the arguments of a data set that loads masks."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='mmdet.PackDetInputs'),
    ]
    return dict(
        data_root=str(root),
        ann_file='train.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=('cat',)),
        pipeline=pipeline,
        **options,
    )


@contextlib.contextmanager
def logged() -> Iterator[List[str]]:
    """Yield the list of the messages that mmengine logs meanwhile."""
    messages: List[str] = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
