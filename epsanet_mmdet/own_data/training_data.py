"""The data sets of a training: the splits of a sound data set, as COCO annotations."""

import os.path as osp
from typing import Callable, Dict, NamedTuple, Optional, Sequence

from ..errors import DataError
from .formats.split import Split
from .lint import CheckedData, check_dataset
from .splitting import Roles, assign_roles


class Source(NamedTuple):
    """Where the images and annotations of a split are, in the form of mmdet's data sets."""

    ann_file: str
    image_prefix: str


class Sources(NamedTuple):
    """Where a data set is.

    Args:
        root: Folder that the other paths are relative to; annotations outside are absolute.
        by_role: By ``'train'``, ``'val'`` and, if there is one, ``'test'``.
    """

    root: str
    by_role: Dict[str, Source]


def read_roles(paths: Sequence[str], images: Optional[str] = None) -> Roles:
    """Check a data set, and find the splits to train, validate and test on.

    Args:
        paths: Folders of a data set, COCO JSON files, or a YOLO ``data.yaml``.
        images: Folder of the images of COCO annotations; None to search for it.

    Raises:
        DataError: If the data set has errors, or leaves open which split to train on.
    """
    checked = check_dataset(paths, images)
    _require_clean(checked, paths)
    return assign_roles(checked)


def find_sources(roles: Roles, convert: Callable[[str, Split], str]) -> Sources:
    """Find the annotations and images of each role.

    Args:
        roles: The splits.
        convert: Called with the role and the split of annotations that are not a COCO file yet;
            writes them as one, and returns its path.
    """
    ann_files, folders, given = {}, [], []
    for role, split in roles.splits.items():
        folders.append(osp.realpath(split.image_dir))
        if split.format == 'coco' and not (roles.held_out and role != 'test'):
            ann_files[role] = osp.realpath(split.source)
            given.append(osp.dirname(ann_files[role]))
        else:
            ann_files[role] = osp.realpath(convert(role, split))
    root = osp.commonpath(folders + given)
    if root == osp.sep:  # nothing in common
        root = osp.commonpath(folders)
    by_role = {}
    for role, folder in zip(ann_files, folders):
        inside = osp.relpath(ann_files[role], root)
        prefix = osp.relpath(folder, root)
        by_role[role] = Source(
            ann_files[role] if inside.startswith('..') else inside,
            '' if prefix == '.' else f'{prefix}/',
        )
    return Sources(osp.join(root, ''), by_role)


def _require_clean(checked: CheckedData, paths: Sequence[str]) -> None:
    groups = checked.findings.of('error')
    if groups:
        first, *_ = next(iter(groups.values()))
        raise DataError(
            f'the data set has errors ({checked.findings.count("error")}), such as {first.place}: '
            f'{first.message}; list them with epsanet check {" ".join(map(str, paths))}, '
            'and correct them or use its --fix'
        )
