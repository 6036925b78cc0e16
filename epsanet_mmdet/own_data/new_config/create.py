"""Creating a config for your own data."""

import os.path as osp
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence

from mmengine.config import Config

from ...config.build import backbone_checkpoint
from ...config.load import configs_dir, find_config, read_config
from ...config.python_text import check_names
from ...errors import ArgumentError, ConfigError, DataError
from ...utils.storage import write_whole
from ...utils.text import suggestion
from ..formats.coco import write_coco
from ..formats.split import Split
from ..lint.sets import mask_count
from ..splitting import Roles
from ..training_data import find_sources, read_roles
from .balance import balance_classes
from .planning import Machine, make_plan
from .switches import Switches
from .weights import find_weights, read_starting_weights
from .writing import Data, config_text

MIN_IMAGES = 10  # that weights can be fitted to
DETECTORS = ('RetinaNet', 'FasterRCNN', 'MaskRCNN')  # whose recipes the settings belong to


def new_config(
    data: Sequence[str],
    model: str,
    out: Optional[str] = None,
    images: Optional[str] = None,
    machine: Optional[Machine] = None,
    weights: Optional[str] = None,
    transplant: Optional[Callable[..., Any]] = None,
    switches: Switches = Switches(),
) -> str:
    """Write a config that trains a shipped model on your own data.

    Args:
        data: Folders of a data set, COCO JSON files, or a YOLO ``data.yaml``.
        model: Name of a shipped config, with or without its schedule:
            ``mask-rcnn_epsanet50-s``.
        out: File to write; by default named after model and data, in the current folder.
        images: Folder of the images of COCO annotations; None to search for it.
        machine: The machine to train on; None for this one.
        weights: File of the weights of a backbone or detector to start from; None to look for one
            in ``checkpoints``.
        transplant: Writes the weights of an EPSANet, or of a detector with one, to start from,
            instead; called with ``out``, ``arch``, ``depth`` and ``images``, as ``run_transplant``
            is.
        switches: Further choices.

    Returns:
        The file that was written.

    Raises:
        DataError: If the data set has errors.
        ConfigError: If there is no such model, the file exists, or the data have names that no
            config can hold.
        ArgumentError: If the model is of another kind than :data:`DETECTORS`, model and machine do
            not allow the choices, or they exclude each other.
        ExtraError: If a chosen package is not installed.
        CheckpointError: If the weights cannot be read or are of another backbone.
    """
    machine = machine or Machine.this()
    base = _find_model(model)
    path = out or f'{model}_{Path(data[0]).resolve().stem}.py'
    if not path.endswith('.py'):
        raise ConfigError(f"--out '{path}' is not the name of a config; let it end in .py")
    _require_new(path)
    config = read_config(base)
    _require_known(config, model)
    masks = bool((config.model.get('roi_head') or {}).get('mask_head'))
    switches.check(model, masks, gpu=machine.gpu_gib > 0)
    backbone = config.model.backbone
    if transplant and (weights or backbone.type != 'EPSANet'):
        other = '--weights' if weights else f"'{model}', whose backbone is a {backbone.type}"
        raise ArgumentError(f'--transplant makes weights of an EPSANet; it excludes {other}')
    if transplant and backbone.get('attention_type', 'softmax') != 'softmax':
        raise ArgumentError(
            f"--transplant makes weights for attention with a softmax; '{model}' has "
            f'attention_type={backbone.attention_type!r}, so start it without --transplant'
        )
    chosen = read_starting_weights(weights, backbone) if weights else None
    roles = read_roles(data, images)
    if masks and any(mask_count(split) < len(split.annotations) for split in roles.splits.values()):
        boxes = model.replace('mask-rcnn', 'faster-rcnn')
        raise DataError(
            f"'{model}' needs a mask of every object, and some have boxes only; use --model {boxes}"
        )
    unwritten: Dict[str, Split] = {}
    described = _describe(roles, path, masks, unwritten)
    check_names(described._asdict(), roles.train.source)
    if transplant:
        chosen = read_starting_weights(_transplant(transplant, backbone, roles, path), backbone)
    if chosen is None:
        chosen = find_weights(backbone_checkpoint(backbone), Path(base).stem)
    plan = make_plan(roles.train, machine, chosen)
    balance = balance_classes(roles.train) if switches.balance_classes else None
    text = config_text(path, base, config, described, plan, switches, balance)
    for ann_file, split in unwritten.items():
        write_coco(ann_file, split, f'written by epsanet new-config from {split.source}')
    write_whole(text, path)
    return path


def _find_model(model: str) -> str:
    schedule = '_fpn_1x_coco'
    for name in (model + schedule, model):
        with suppress(ConfigError):
            return find_config(name)
    models = (path.stem.removesuffix(schedule) for path in configs_dir().rglob(f'*{schedule}.py'))
    near = suggestion(model, sorted(models), most=3)
    raise ConfigError(f"there is no model '{model}', neither shipped nor as a config file; {near}")


def _require_known(config: Config, model: str) -> None:
    kind = config.model.get('type')
    if kind not in DETECTORS:
        raise ArgumentError(
            f"a new config has the settings of {', '.join(DETECTORS)}, and '{model}' is a {kind}; "
            'choose another model, or write a config by hand: docs/own_data.md, "Other detectors"'
        )


def _require_new(path: str) -> None:
    if osp.exists(path):
        raise ConfigError(f"'{path}' exists; name another file with --out")


def _transplant(transplant: Callable[..., Any], backbone: Config, roles: Roles, path: str) -> str:
    """Write the weights to start from beside the config, and return their file."""
    out = str(Path(path).with_name(f'{Path(path).stem}_start.pth'))
    _require_new(out)
    enough = len(roles.train.images) >= MIN_IMAGES
    images = roles.train.image_dir if enough else None
    transplant(out=out, arch=backbone.arch, depth=backbone.depth, images=images)
    return out


def _describe(roles: Roles, path: str, masks: bool, unwritten: Dict[str, Split]) -> Data:
    """Name all paths; ``unwritten`` receives the splits that are not COCO files yet, by file."""
    sources = find_sources(roles, partial(_convert, path, unwritten))
    how = 'a fifth, held out by a hash of the names' if roles.held_out else 'as provided'
    why = (
        f'{len(roles.train.images)} images for training, {len(roles.val.images)} for validation '
        f'({how}), from {roles.train.source} ({roles.train.format})'
    )
    return Data(sources.root, tuple(roles.train.classes), masks, sources.by_role, why)


def _convert(path: str, unwritten: Dict[str, Split], role: str, split: Split) -> str:
    config = Path(path)
    ann_file = str(config.with_name(f'{config.stem}_{role}.json'))
    _require_new(ann_file)
    unwritten[ann_file] = split
    return ann_file
