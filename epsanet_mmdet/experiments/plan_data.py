"""The data set of a plan as COCO annotations, whatever its format."""

import hashlib
from functools import partial
from pathlib import Path

from ..config.python_text import check_names
from ..own_data.formats.coco import coco_text
from ..own_data.formats.split import Split
from ..own_data.training_data import find_sources, read_roles
from ..utils.storage import write_whole
from .plan import Data

NOTE = 'written by epsanet reproduce'  # without paths: a moved data set is still the same


def convert_data(data: Data, folder: Path) -> Data:
    """Return a data set with COCO annotations in place of ``paths``.

    COCO files are used where they are, other annotations are written to a folder, and so are the
    parts of a split. The names of the files have a hash of their content: a data set that was
    changed never replaces annotations that a job is using.

    Args:
        data: The data set.
        folder: Where annotations are written.

    Raises:
        DataError: If the data set has errors, or leaves open which split to train on.
        ConfigError: If a path or class has characters that no config can hold.
        StorageError: If the annotations cannot be written.
    """
    if not data.paths:
        return data
    roles = read_roles(data.paths, data.images)
    check_names(roles.train.classes, roles.train.source, 'categories')
    sources = find_sources(roles, partial(_write, folder))
    check_names(sources, roles.train.source)
    paths = {}
    for role, source in sources.by_role.items():
        paths.update({f'{role}_ann': source.ann_file, f'{role}_images': source.image_prefix})
    return Data(root=sources.root, classes=roles.train.classes, **paths)


def _write(folder: Path, role: str, split: Split) -> str:
    text = coco_text(split, NOTE)
    path = folder / f'{role}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json'
    if not path.is_file():
        write_whole(text, path)
    return str(path)
