"""Targets of the fuzzer: honest files, functions that change them, and readers."""

import io
import json
import os
import random
import struct
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple

import numpy as np
import oracle
import torch
from crafted_checkpoints import Pickler, attacks
from forked_reader import child, read_forked, read_own, read_untrusted
from gluon_files import array_bytes, list_bytes, write_params
from mmengine.logging import HistoryBuffer
from mutate import (
    NUMBERS,
    mutate_bytes,
    mutate_image,
    mutate_json,
    mutate_pickle,
    mutate_text,
    mutate_xml,
    mutate_zip,
)
from PIL import Image
from small_data import coco_content, voc_xml, write_coco, write_voc, write_yolo, yolo_lines

from epsanet_mmdet.checkpoint.mxnet_files import read_params
from epsanet_mmdet.datasets.checks import image_fault
from epsanet_mmdet.errors import CheckpointError
from epsanet_mmdet.inference.sources import Source, read_frames
from epsanet_mmdet.own_data.lint import run as checking
from epsanet_mmdet.own_data.page import render_page
from epsanet_mmdet.utils.images import read_image, read_size

MIB = 2**20


class Target(NamedTuple):
    """One kind of file.

    Args:
        seeds: Honest files, and some attacks.
        mutate: Function that changes one.
        write: Function that writes one where the tools look for it.
        read: Function that reads the last one, like the tools.
        memory: Bytes that reading one may add to the process.
    """

    seeds: List[bytes]
    mutate: Callable[[bytes, random.Random], bytes]
    write: Callable[[bytes], object]
    read: Callable[[], object]
    memory: int


def scratch() -> Path:
    """Make a folder for the files, in memory if the system supports it."""
    memory = Path('/dev/shm')
    base = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix='fuzz-', dir=base))


def checkpoints(folder: Path) -> Target:
    path = folder / 'weights.pth'
    marker = folder / 'ran'
    gadgets, seeds = [], []
    for payload, _ in attacks(marker).values():
        buffer = io.BytesIO()
        Pickler(buffer, 2).dump(payload)
        gadgets.append(buffer.getvalue()[2:-1])
    for zipped in (True, False):
        for content in _honest()[: None if zipped else -2]:
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
            seeds.append(buffer.getvalue())

    def mutate(content: bytes, rng: random.Random) -> bytes:
        if content.startswith(b'PK'):
            return mutate_zip(content, gadgets, rng)
        if rng.random() < 0.3:
            return mutate_bytes(content, rng)
        return mutate_pickle(content, gadgets, rng)

    def watched(read: Callable[[child.Job], None], job: child.Job) -> None:
        def one_kind_of_error() -> None:
            try:
                read(job)
            except child.Refused as error:
                raise CheckpointError(str(error))

        if not oracle.check(one_kind_of_error, 2**40):
            raise CheckpointError(f'{path} is refused')

    def read() -> None:
        refusals = []
        for reader in (read_own, read_untrusted):
            try:
                read_forked(str(path), 256 * MIB, 5, partial(watched, reader))
            except CheckpointError as error:
                refusals.append(error)
            assert not marker.exists(), 'it ran code'
        if len(refusals) == 2:
            raise refusals[0]

    return Target(seeds, mutate, path.write_bytes, read, 64 * MIB)


def _honest() -> List[object]:
    weights = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(weights.parameters())
    weights(torch.ones(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    hub = dict(log_scalars={'train/loss': HistoryBuffer([1.0, 2.0], [1, 1])}, runtime_info={})
    return [
        dict(state_dict=weights.state_dict(), meta=dict(epoch=1, classes=('a', 'b'))),
        dict(state_dict=weights.state_dict(), optimizer=optimizer.state_dict(), message_hub=hub),
        dict(a=np.float64(1.5), b=np.arange(6.0).reshape(2, 3), c=b'raw', d={1, 2}, e=1j),
        dict(
            w=torch.zeros(2).bfloat16(), s=torch.Size((1, 2)), p=torch.nn.Parameter(torch.ones(1))
        ),
        torch.ones(2, 3).to_sparse(),
        torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
    ]


def _checker(folder: Path) -> Callable[[str], object]:
    """Return a function that checks a data set in this process and reads each image only once."""
    known: Dict[str, object] = {}

    def read_images(paths, progress=True):
        for path in paths:
            if path not in known:
                known[path] = read_image(path)
        return {path: known[path] for path in paths}

    checking.read_images = read_images

    def check(path: str) -> None:
        data = checking.check_dataset([path])
        for split in data.splits:
            for image in split.images:
                inside = os.path.realpath(split.path_of(image['file_name']))
                assert inside.startswith(os.path.realpath(folder)), inside
        if random.random() < 0.02:
            render_page(data)

    return check


def mxnet(folder: Path) -> Target:
    path = folder / 'weights.params'
    tensors = {'conv.weight': torch.ones(2, 3), 'bn.gamma': torch.ones(2).half()}
    seeds = [write_params(tensors, path).read_bytes()]
    arrays = [array_bytes(np.ones((2, 1), 'int64'), magic) for magic in (0xF993FAC8, 0xF993FACA)]
    seeds.append(list_bytes(arrays, [b'a', b'b']))

    def mutate(content: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.3:
            return mutate_bytes(content, rng)
        place = rng.randrange(16, len(content) - 8) if len(content) > 24 else 0
        number = rng.choice(NUMBERS) % 2**64
        return content[:place] + struct.pack('<Q', number) + content[place + 8 :]

    return Target(seeds, mutate, path.write_bytes, lambda: read_params(path), 64 * MIB)


def coco(folder: Path) -> Target:
    root = write_coco(folder / 'coco', train=3)
    path = root / 'annotations' / 'train.json'
    content = json.loads(path.read_bytes())
    content['annotations'][0]['segmentation'] = dict(size=[48, 64], counts=[100, 50, 2922])
    content['annotations'][1]['segmentation'] = dict(size=[48, 64], counts='T3b0Z20')
    content['annotations'][1]['iscrowd'] = 1
    check = _checker(folder)

    def read() -> None:
        check(str(path))

    seeds = [json.dumps(content).encode(), b'{"images": [], "annotations": [], "categories": []}']
    return Target(seeds, mutate_json, path.write_bytes, read, 256 * MIB)


def voc(folder: Path) -> Target:
    root = write_voc(folder / 'voc', 2)
    path = root / 'Annotations' / '1.xml'
    objects = [(0, [1.0, 2.0, 20.0, 21.0]), (1, [5.0, 5.0, 30.0, 30.0])]
    tokens = [
        b'<!DOCTYPE a [<!ENTITY b "cc">]>', b'&b;', b'<object>', b'</object>', b'<bndbox><xmin>',
        b'<filename>../../../etc/passwd</filename>', b'<![CDATA[', b'<?xml version="1.0"?>',
        b'<a>', b'&#0;', b'<name>', b'<size><width>1e400</width></size>', b'<xmin>nan</xmin>',
        b'<?xml version="1.0" encoding="utf-7"?>', b'<!ENTITY % x SYSTEM "file:///dev/zero">',
    ]  # fmt: skip
    check = _checker(folder)

    def read() -> None:
        check(str(root))

    seeds = [voc_xml('1.jpg', objects).encode(), b'<annotation></annotation>']
    return Target(
        seeds, lambda c, rng: mutate_xml(c, rng, tokens), path.write_bytes, read, 256 * MIB
    )


def yolo(folder: Path) -> Target:
    root = write_yolo(folder / 'yolo', 2, 1)
    files = [root / 'data.yaml', root / 'labels' / 'train' / '0.txt', root / 'list.txt']
    tokens = [
        b'train: list.txt\n', b'path: /\n', b'path: ../..\n', b'val: /\n',
        b'train: ../../../../etc\n',
        b'&a [*a, *a]', b'!!python/object/apply:os.system [id]', b'? ', b'- ', b'[', b'{', b': ',
        b'names: {0: a}\n', b'names: [a, b]\n', b'nc: 99\n', b'0 0.5 0.5 0.1 0.1\n', b'\n',
        b'0 0.1 0.1 0.2 0.2 0.3 0.1\n', b'1e999', b'nan', b'/dev/zero\n',
        b'../../../../etc/passwd\n',
        b'x: &x [a]\ny: &y [*x, *x]\n', b'<<: *x\n', b'train: [images/train, list.txt]\n',
    ]  # fmt: skip
    check = _checker(folder)
    labels = yolo_lines([(0, [1.0, 2.0, 20.0, 21.0])], True)
    lists = './images/train/0.png\nimages/train/1.png\n'

    def write(data: bytes) -> None:
        parts = data.split(b'\0', 2)  # the three files in one
        for file, part in zip(files, [*parts, b'', b'']):
            file.write_bytes(part)

    def read() -> None:
        check(str(files[0]))

    settings = files[0].read_bytes()
    both = settings.replace(b'train: images/train', b'train: list.txt')
    seeds = [b'\0'.join((s, labels.encode(), lists.encode())) for s in (settings, both)]
    return Target(seeds, partial(mutate_text, tokens=tokens), write, read, 256 * MIB)


def dataset(folder: Path) -> Target:
    """Read annotations as in training: mmdet's data set, and masks with pycocotools."""
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    root = write_coco(folder / 'coco', train=3)
    path = root / 'annotations' / 'train.json'
    content = coco_content(root / 'images', 3)
    content['annotations'][0]['segmentation'] = dict(size=[48, 64], counts=[100, 50, 2922])
    content['annotations'][0]['iscrowd'] = 1
    content['annotations'][2]['segmentation'] = dict(size=[48, 64], counts='T3b0Z20')
    classes = tuple(category['name'] for category in content['categories'])
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=True),
        dict(type='mmdet.Resize', scale=(96, 64), keep_ratio=True),
        dict(type='mmdet.PackDetInputs'),
    ]

    def read() -> None:
        built = DATASETS.build(
            dict(
                type='CheckedCocoDataset',
                data_root=str(root),
                ann_file='annotations/train.json',
                data_prefix=dict(img='images/'),
                metainfo=dict(classes=classes),
                pipeline=pipeline,
                skip_bad_images=path.stat().st_size % 2 == 0,
            )
        )
        for i in range(len(built)):
            built[i]

    return Target([json.dumps(content).encode()], mutate_json, path.write_bytes, read, 512 * MIB)


def images(folder: Path) -> Target:
    path = folder / 'picture.png'
    seeds = []
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    for kind, mode, options in (
        ('JPEG', 'RGB', {}),
        ('JPEG', 'CMYK', {}),
        ('JPEG', 'RGB', dict(progressive=True)),
        ('PNG', 'RGB', {}),
        ('PNG', 'P', {}),
        ('PNG', 'RGBA', {}),
        ('WEBP', 'RGB', {}),
        ('WEBP', 'RGB', dict(lossless=True)),
        ('TIFF', 'RGB', {}),
        ('TIFF', 'RGB', dict(compression='tiff_lzw')),
        ('TIFF', 'L', dict(compression='tiff_adobe_deflate')),
        ('BMP', 'RGB', {}),
        ('GIF', 'P', {}),
        ('PPM', 'RGB', {}),
        ('JPEG2000', 'RGB', {}),
    ):
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
        seeds.append(buffer.getvalue())
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'JPEG', exif=exif)
    seeds.append(buffer.getvalue())

    def read() -> None:
        read_size(str(path))
        facts = read_image(str(path))
        assert facts.fault or min(facts.size) > 0
        image_fault(str(path))
        for frame in read_frames([Source(str(path), path.name)]):
            assert (frame.image is None) == bool(frame.fault)

    return Target(seeds, mutate_image, path.write_bytes, read, 1536 * MIB)


TARGETS: Dict[str, Callable[[Path], Target]] = dict(
    checkpoints=checkpoints,
    coco=coco,
    dataset=dataset,
    images=images,
    mxnet=mxnet,
    voc=voc,
    yolo=yolo,
)


def build(name: str, folder: Path) -> Target:
    """Build a target, and read its seeds once so that nothing is imported later."""
    warnings.simplefilter('ignore')
    random.seed(0)
    Image.init()  # or Pillow would import its formats with the first file it does not know
    target = TARGETS[name](folder)
    for seed in target.seeds:
        target.write(seed)
        try:
            target.read()
        except Exception:  # noqa: S110 - an honest one that is refused would be seen in the counts
            pass
    return target
