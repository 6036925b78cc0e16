"""Checks of a COCO data set that find what would stop or spoil a training."""

import json
import os
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, List, Optional, Sequence

from PIL import Image

from ..errors import DataError

TAIL = 64  # bytes; end markers may be followed by padding


def check_paths(ann_file: str, img_dir: str, data_root: Optional[str] = None) -> None:
    """Check that the data root, the annotation file and the image folder exist.

    Raises:
        DataError: Naming the first of them that does not.
    """
    if data_root and not osp.isdir(data_root):
        raise DataError(
            f"data root '{data_root}' does not exist; set it with --cfg-options data_root=PATH, "
            'or the environment variable DATA_ROOT'
        )
    if not osp.isfile(ann_file):
        folder = osp.dirname(ann_file)
        others = (
            sorted(n for n in os.listdir(folder) if n.endswith('.json'))
            if osp.isdir(folder)
            else []
        )
        there = f' (there are {", ".join(others[:5])})' if others else ''
        raise DataError(
            f"annotation file '{ann_file}' does not exist{there}; set the dataset's ann_file"
        )
    if not osp.isdir(img_dir):
        raise DataError(
            f"image folder '{img_dir}' does not exist; set the dataset's data_prefix.img"
        )


def check_annotations(ann_file: str, classes: Sequence[str]) -> None:
    """Check that a file is COCO instance annotations with the given classes.

    Raises:
        DataError: If it is not JSON, not COCO, or lacks one of the classes.
    """
    try:
        with open(ann_file, encoding='utf-8') as file:
            content = json.load(file)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{ann_file}' is not JSON ({error}); export the annotations again")
    for key in ('images', 'annotations', 'categories'):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(
                f"'{ann_file}' is not COCO annotations: it has no list '{key}'; export it as COCO "
                'instances'
            )
    names = [category.get('name') for category in content['categories']]
    missing = [name for name in classes if name not in names]
    if missing:
        raise DataError(
            f"the config's classes are not the categories of '{ann_file}': config has "
            f'{_listing(classes)}, the file has {_listing(names)}; set metainfo.classes and '
            'num_classes to those of the file'
        )


def find_bad_images(paths: Sequence[str]) -> Dict[str, str]:
    """Find missing and damaged images without decoding all of them.

    A file that begins and ends as its format demands passes; any other is decoded.

    Returns:
        Path of each bad image, and what is wrong with it.
    """
    with ThreadPoolExecutor(16) as pool:
        reasons = list(pool.map(image_fault, paths))
    return {path: reason for path, reason in zip(paths, reasons) if reason}


def image_fault(path: str) -> Optional[str]:
    """Say what is wrong with an image file, or None."""
    try:
        with open(path, 'rb') as file:
            head = file.read(16)
            file.seek(0, os.SEEK_END)
            size = file.tell()
            file.seek(max(0, size - TAIL))
            tail = file.read()
    except FileNotFoundError:
        return 'missing'
    except OSError as error:
        return f'unreadable: {error.strerror}'
    if not size:
        return 'empty file'
    if head.startswith(b'\xff\xd8\xff') and b'\xff\xd9' in tail:
        return None
    if head.startswith(b'\x89PNG\r\n\x1a\n') and b'IEND' in tail:
        return None
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # Pillow's decoders raise many kinds
        return f'cannot be decoded: {str(error).splitlines()[0] if str(error) else "damaged"}'
    return None


def _listing(names: List[str], limit: int = 10) -> str:
    shown = ', '.join(map(str, names[:limit]))
    return f'{len(names)} ({shown}{", ..." if len(names) > limit else ""})'
