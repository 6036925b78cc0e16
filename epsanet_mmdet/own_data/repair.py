"""Writing a repaired copy of the annotations of a data set."""

import os
import os.path as osp
from dataclasses import replace
from pathlib import Path
from typing import List

from ..errors import DataError
from .formats.coco import write_coco
from .lint import CheckedData

NOTE = 'repaired by epsanet check --fix'


def write_repaired(data: CheckedData, folder: str) -> List[str]:
    """Write what is left of a data set as COCO JSON, one file per split.

    The images stay where they are; ``images`` in the folder is a link to them.

    Args:
        data: The checked data set.
        folder: A new or empty folder.

    Returns:
        A description of each file that was written.

    Raises:
        DataError: If the folder is not empty, or nothing is left to write.
    """
    require_empty(folder)
    splits = [split for split in data.splits if split.images and split.annotations]
    if not splits:
        raise DataError('nothing usable is left of the data set, so there is nothing to write')
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    root = osp.commonpath([osp.realpath(split.image_dir) for split in splits])
    written = []
    for split in splits:
        prefix = osp.relpath(osp.realpath(split.image_dir), root)
        images = []
        for image in split.images:
            name = osp.normpath(osp.join(prefix, image['file_name']))
            images.append(dict(image, file_name=Path(name).as_posix()))
        path = target / f'{split.name}.json'
        write_coco(str(path), replace(split, images=images), NOTE)
        written.append(f'{path}: {len(images)} images, {len(split.annotations)} annotations')
    left_out = [split.name for split in data.splits if split not in splits]
    if left_out:
        written.append(f'not written, as nothing usable is left of it: {", ".join(left_out)}')
    try:
        os.symlink(root, target / 'images', target_is_directory=True)
        written.append(f'{target / "images"}: a link to the images in {root}')
    except OSError:  # file systems without links
        written.append(f'use them with --images {root}')
    return written


def require_empty(folder: str) -> None:
    """Check that a folder to write to is new or empty.

    Raises:
        DataError: If it is not.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"'{folder}' is not an empty folder; name a new one with --fix")
