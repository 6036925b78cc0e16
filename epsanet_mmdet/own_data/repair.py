"""Writing a repaired copy of a data set's annotations."""

import os
import os.path as osp
from pathlib import Path
from typing import List

from ..datasets.coco_json import write_coco
from ..errors import DataError
from .lint.run import CheckedData

NOTE = 'repaired by tools/check_dataset.py --fix'


def write_repaired(data: CheckedData, folder: str) -> List[str]:
    """Write what is left of a data set as COCO JSON, a file a split.

    The images stay where they are; ``images`` in the folder is a link to them.

    Args:
        data: The checked data set.
        folder: A new or empty folder.

    Returns:
        What was written, in words.

    Raises:
        DataError: If the folder is not empty, or nothing is left to write.
    """
    target = Path(folder)
    require_empty(folder)
    splits = [split for split in data.splits if split.images and split.annotations]
    if not splits:
        raise DataError('nothing usable is left of the data set, so there is nothing to write')
    target.mkdir(parents=True, exist_ok=True)
    root = osp.commonpath([osp.realpath(split.image_dir) for split in splits])
    said = []
    for split in splits:
        prefix = osp.relpath(osp.realpath(split.image_dir), root)
        images = [
            dict(
                image, file_name=Path(osp.normpath(osp.join(prefix, image['file_name']))).as_posix()
            )
            for image in split.images
        ]
        path = target / f'{split.name}.json'
        copy = type(split)(**{**vars(split), 'images': images})
        write_coco(str(path), copy, NOTE)
        said.append(f'{path}: {len(images)} images, {len(split.annotations)} annotations')
    left_out = [split.name for split in data.splits if split not in splits]
    if left_out:
        said.append(f'not written, as nothing usable is left of it: {", ".join(left_out)}')
    try:
        os.symlink(root, target / 'images', target_is_directory=True)
        said.append(f'{target / "images"}: a link to the images in {root}')
    except OSError:  # file systems without links
        said.append(f'use them with --images {root}')
    return said


def require_empty(folder: str) -> None:
    """Check that a folder to write to does not hold anything yet.

    Raises:
        DataError: If it does.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"'{folder}' is not an empty folder; give --fix a new one")
