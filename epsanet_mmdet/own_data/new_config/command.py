"""What ``tools/new_config.py`` does."""

import os.path as osp
from pathlib import Path
from typing import List, Optional, Sequence

from ...config.load import find_config, read_config
from ...config.python_text import check_names
from ...datasets.coco_json import write_coco
from ...datasets.split import Split
from ...errors import ConfigError, DataError
from ...utils.storage import write_whole
from ..lint import CheckedData, check_dataset
from ..lint.sets import mask_count
from .planning import Machine, make_plan
from .splitting import Roles, assign_roles
from .writing import Data, Source, config_text


def new_config(
    data: Sequence[str],
    model: str,
    out: Optional[str] = None,
    images: Optional[str] = None,
    machine: Optional[Machine] = None,
) -> str:
    """Write a config that trains a shipped model on data of one's own.

    Args:
        data: Folders of a data set, COCO JSON files, or YOLO's ``data.yaml``.
        model: A shipped config's name, with or without its schedule:
            ``mask-rcnn_epsanet50-s``.
        out: The file to write; by default named after model and data, in the current folder.
        images: Folder of the images of COCO annotations; None to look for it.
        machine: What will train; by default this machine.

    Returns:
        The file that was written.

    Raises:
        DataError: If the data set has errors.
        ConfigError: If there is no such model, the file exists, or the data have names that no
            config can hold.
    """
    base = _find_model(model)
    path = out or f'{model}_{Path(data[0]).resolve().stem}.py'
    if osp.exists(path):
        raise ConfigError(f"'{path}' exists; give another file with --out")
    checked = check_dataset(data, images)
    _require_clean(checked, data)
    roles = assign_roles(checked)
    masks = all(mask_count(split) == len(split.annotations) for split in roles[:3])
    config = read_config(base)
    if 'mask_head' in (config.model.get('roi_head') or {}) and not masks:
        boxes = model.replace('mask-rcnn', 'faster-rcnn')
        raise DataError(
            f"'{model}' needs a mask of every object, and some have boxes only; use --model {boxes}"
        )
    described = _describe(
        roles, path, masks and 'mask_head' in (config.model.get('roi_head') or {})
    )
    check_names(described._asdict(), roles.train.source)
    init = config.model.backbone.get('init_cfg') or {}
    plan = make_plan(
        roles.train, machine or Machine.this(), init.get('checkpoint'), Path(base).stem
    )
    text = config_text(path, base, config, described, plan)
    write_whole(text, path)
    return path


def _find_model(model: str) -> str:
    try:
        return find_config(f'{model}_fpn_1x_coco')
    except ConfigError:
        return find_config(model)


def _require_clean(checked: CheckedData, paths: Sequence[str]) -> None:
    errors: List = [found[0] for found in checked.findings.of('error').values()]
    if errors:
        count = checked.findings.count('error')
        raise DataError(
            f'the data set has {count} errors, such as {errors[0].place}: {errors[0].message}; '
            f'see them with tools/check_dataset.py {" ".join(map(str, paths))}, and correct them '
            'or use its --fix'
        )


def _describe(roles: Roles, path: str, masks: bool) -> Data:
    """Write annotations that are not COCO files yet beside the config, and name all paths."""
    splits = dict(train=roles.train, val=roles.val, test=roles.test)
    ann_files = {}
    for role, split in splits.items():
        if role == 'test' and split is roles.val:
            ann_files[role] = ann_files['val']
        elif split.format == 'coco' and not (roles.made and role != 'test'):
            ann_files[role] = osp.realpath(split.source)
        else:
            ann_files[role] = _convert(split, path, role)
    folders = [osp.realpath(split.image_dir) for split in splits.values()]
    given = [
        osp.dirname(ann_files[r])
        for r, split in splits.items()
        if ann_files[r] == osp.realpath(split.source)
    ]
    root = osp.commonpath(folders + given)
    if root == osp.sep:  # nothing in common
        root = osp.commonpath(folders)
    sources = {
        role: Source(
            _within(ann_files[role], root),
            _prefix(osp.relpath(osp.realpath(split.image_dir), root)),
            len(split.images),
        )
        for role, split in splits.items()
    }
    how = 'a fifth, split off by a hash of the names' if roles.made else 'as given'
    why = (
        f'{sources["train"].count} images to train on, {sources["val"].count} to validate on '
        f'({how}), from {roles.train.source} ({roles.train.format}).'
    )
    return Data(root, roles.train.classes, masks, why=why, **sources)


def _convert(split: Split, path: str, role: str) -> str:
    config = Path(path)
    config.parent.mkdir(parents=True, exist_ok=True)
    ann_file = config.with_name(f'{config.stem}_{role}.json')
    if ann_file.exists():
        raise ConfigError(f"'{ann_file}' exists; give another file with --out")
    write_coco(str(ann_file), split, f'written by tools/new_config.py from {split.source}')
    return osp.realpath(ann_file)


def _prefix(folder: str) -> str:
    return '' if folder == '.' else f'{folder}/'


def _within(path: str, root: str) -> str:
    inside = osp.relpath(path, root)
    return path if inside.startswith('..') else inside
