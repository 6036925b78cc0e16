"""The text of a new config."""

import os.path as osp
from functools import partial
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Tuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from mmengine.config import Config

from ...config import python_text
from ...config.class_heads import find_class_heads
from ...config.load import configs_dir
from ..training_data import Source
from .augmentation import make_pipelines
from .balance import Balance
from .extras import make_hooks, make_loggers
from .optimizer import make_optimizer
from .planning import Plan
from .switches import Switches

SCRATCH_BACKBONE = dict(
    frozen_stages=-1,
    norm_eval=False,
    zero_init_residual=False,
    norm_cfg=python_text.Name('norm_cfg'),
    init_cfg=None,
)


class Data(NamedTuple):
    """The data as a config names them; ``sources`` are by role, as in ``Roles``."""

    root: str
    classes: Tuple[str, ...]
    masks: bool
    sources: Dict[str, Source]
    why: str

    def joined(self, role: str) -> str:
        """Return an annotation file with its data root, as an evaluator needs it."""
        ann_file = self.sources[role].ann_file
        if osp.isabs(ann_file):
            return ann_file
        return python_text.Name(f'data_root + {python_text.write(ann_file)}')


def config_text(
    path: str,
    base: str,
    config: Config,
    data: Data,
    plan: Plan,
    switches: Switches,
    balance: Optional[Balance] = None,
) -> str:
    """Return the text of a config.

    Args:
        path: Where it will be written.
        base: Path of the shipped config that it inherits from.
        config: The loaded shipped config.
        data: The data.
        plan: The chosen settings.
        switches: The user's choices.
        balance: How the classes are balanced, or None.
    """
    environment = Environment(
        loader=PackageLoader('epsanet_mmdet.own_data'),
        undefined=StrictUndefined,
        finalize=partial(python_text.write, used=20),
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters['name'] = python_text.Name
    environment.filters['comment'] = lambda text: python_text.Name(python_text.comment(text))
    small_anchors = plan.small_anchors and 'rpn_head' in config.model
    return environment.get_template('config.py.jinja').render(
        base=base_reference(base, path),
        data=data,
        metric=['bbox', 'segm'] if data.masks else 'bbox',
        plan=plan,
        pipelines=make_pipelines(switches.augment, data.masks),
        balance=balance,
        shipped=config.train_dataloader.dataset.to_dict(),
        hooks=make_hooks(switches, plan.steps),
        loggers=make_loggers(switches, Path(path).stem),
        small_anchors=small_anchors,
        model=_model(config.model, plan, small_anchors),
        interval=max(1, plan.epochs // 12),
        milestones=[max(1, round(plan.epochs * share)) for share in (8 / 12, 11 / 12)],
        optimization=make_optimizer(
            switches, plan.batch, plan.weights.scratch, config.optim_wrapper.optimizer.lr
        ),
    )


def base_reference(base: str, path: str) -> str:
    """Return the shipped config's path: relative in the same source tree, otherwise absolute.

    ``package::config`` would be neater, but mmengine resolves it for its own packages only.
    """
    base, folder = osp.realpath(base), osp.dirname(osp.realpath(path))
    root = str(configs_dir().resolve().parent)
    if osp.commonpath([root, folder]) == root:
        base = osp.relpath(base, folder)
    return Path(base).as_posix()


def _model(model: Config, plan: Plan, small_anchors: bool) -> Dict:
    """Return what changes in the model."""
    changes: Dict[str, object] = {}
    if plan.weights.scratch:
        changes['backbone'] = SCRATCH_BACKBONE
        changes['neck.norm_cfg'] = SCRATCH_BACKBONE['norm_cfg']
    elif plan.weights.detector:
        changes['backbone.init_cfg'] = None
    else:
        changes['backbone.init_cfg.checkpoint'] = plan.weights.backbone
        if plan.weights.prefix:
            changes['backbone.init_cfg.prefix'] = plan.weights.prefix
    if small_anchors:
        changes['rpn_head.anchor_generator.scales'] = [4]
    for head in find_class_heads(model):
        changes[f'{head.removeprefix("model.")}.num_classes'] = python_text.Name('len(classes)')
    changed = Config()
    changed.merge_from_dict(changes)
    return changed.to_dict()
