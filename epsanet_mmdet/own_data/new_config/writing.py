"""The text of a new config."""

import os.path as osp
from functools import partial
from pathlib import Path
from typing import Dict, NamedTuple, Tuple

from jinja2 import Environment
from mmengine.config import Config

from ...config import python_text
from ...config.class_heads import find_class_heads
from ...config.load import configs_dir
from .planning import Plan

BASE_BATCH = 16  # images that the learning rates of the shipped configs are meant for
SCRATCH_LR = 5e-5  # of AdamW, for each image in a batch
SCRATCH_NOTE = (
    ', so everything is trained from random weights: nothing is frozen, and GroupNorm replaces '
    'BatchNorm, which needs larger batches. A pre-trained backbone would need far fewer images'
)
SCRATCH_BACKBONE = dict(
    frozen_stages=-1,
    norm_eval=False,
    zero_init_residual=False,
    norm_cfg=python_text.Name('norm_cfg'),
    init_cfg=None,
)

# Every {{ value }} is written as a Python literal, unless it is a comment or a variable's name.
TEMPLATE = """\
# Written by tools/new_config.py, and yours to change.
_base_ = {{ base }}

{{ ('The data: ' ~ data.why ~ '.') | comment }}
classes = {{ data.classes }}
metainfo = dict(classes=classes)
data_root = {{ data.root }}

{{ ('Starting weights: ' ~ plan.weights_why ~ (scratch_note if plan.scratch) ~ '.') | comment }}
{% if plan.scratch %}
norm_cfg = dict(type='GN', num_groups=32, requires_grad=True)
{% endif %}
{% if plan.detector %}
load_from = {{ plan.detector }}
{% endif %}
{% if small_anchors %}
# Anchors start at 16 pixels instead of 32, because half of the objects are smaller than 32.
{% endif %}
model = {{ model }}

{{ ('Image scale: ' ~ plan.scale_why ~ '.') | comment }}
scale = {{ plan.scale }}
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask={{ data.masks }}),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask={{ data.masks }}),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

{{ ('Batch size: ' ~ plan.batch_why ~ '.') | comment }}
{% for role, source in data.sources.items() %}
{{ role | name }}_dataloader = dict(
{% if role == 'train' %}
    batch_size={{ plan.batch }},
{% endif %}
    num_workers={{ plan.workers }},
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file={{ source.ann_file }},
        data_prefix=dict(img={{ source.image_prefix }}),
        pipeline={{ ('train' if role == 'train' else 'test') | name }}_pipeline,
    ),
)
{% if role != 'train' %}
{{ role | name }}_evaluator = dict(ann_file={{ source.joined }}, metric={{ metric }})
{% endif %}
{% endfor %}
{% if 'test' not in data.sources %}
test_dataloader = val_dataloader
test_evaluator = val_evaluator
{% endif %}

{{ ('Epochs: ' ~ plan.epochs_why ~ '.') | comment }}
max_epochs = {{ plan.epochs }}
train_cfg = dict(max_epochs=max_epochs, val_interval={{ interval }})
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end={{ plan.warmup }}),
    dict(type='MultiStepLR', by_epoch=True, milestones={{ milestones }}, gamma=0.1),
]
{% if plan.scratch %}
# Learning rate: {{ scratch_lr }} times the batch size, {{ plan.batch }}.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr={{ scratch_lr * plan.batch }}, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=10),
)
{% else %}
# Learning rate: {{ lr }} in the shipped config is for {{ base_batch }} images per batch; here it is scaled to {{ plan.batch }}.
optim_wrapper = dict(optimizer=dict(lr={{ lr * plan.batch / base_batch }}), clip_grad=dict(max_norm=35))
{% endif %}
default_hooks = dict(checkpoint=dict(interval={{ interval }}, max_keep_ckpts=2, save_best='auto'))
"""  # noqa: E501


class Source(NamedTuple):
    """Where the images and annotations of a split are, in the form of mmdet's data sets."""

    ann_file: str
    image_prefix: str

    @property
    def joined(self) -> str:
        """The annotation file with its data root, as an evaluator needs it."""
        if osp.isabs(self.ann_file):
            return self.ann_file
        return python_text.Name(f'data_root + {python_text.write(self.ann_file)}')


class Data(NamedTuple):
    """The data as a config names them; ``sources`` are by role, as in :class:`.splitting.Roles`."""

    root: str
    classes: Tuple[str, ...]
    masks: bool
    sources: Dict[str, Source]
    why: str


def config_text(path: str, base: str, config: Config, data: Data, plan: Plan) -> str:
    """Return the text of a config.

    Args:
        path: Where it will be written.
        base: Path of the shipped config that it inherits from.
        config: The loaded shipped config.
        data: The data.
        plan: The chosen settings.
    """
    environment = Environment(
        finalize=partial(python_text.write, used=20),
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters['name'] = python_text.Name
    environment.filters['comment'] = lambda text: python_text.Name(python_text.comment(text))
    small_anchors = plan.small_anchors and 'rpn_head' in config.model
    return environment.from_string(TEMPLATE).render(
        base=base_reference(base, path),
        data=data,
        metric=['bbox', 'segm'] if data.masks else 'bbox',
        plan=plan,
        small_anchors=small_anchors,
        model=_model(config.model, plan, small_anchors),
        interval=max(1, plan.epochs // 12),
        milestones=[max(1, round(plan.epochs * share)) for share in (8 / 12, 11 / 12)],
        lr=config.optim_wrapper.optimizer.lr,
        base_batch=BASE_BATCH,
        scratch_lr=SCRATCH_LR,
        scratch_note=SCRATCH_NOTE,
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
    if plan.scratch:
        changes['backbone'] = SCRATCH_BACKBONE
        changes['neck.norm_cfg'] = SCRATCH_BACKBONE['norm_cfg']
    elif plan.detector:
        changes['backbone.init_cfg'] = None
    else:
        changes['backbone.init_cfg.checkpoint'] = plan.backbone
    if small_anchors:
        changes['rpn_head.anchor_generator.scales'] = [4]
    for head in find_class_heads(model):
        changes[f'{head.removeprefix("model.")}.num_classes'] = python_text.Name('len(classes)')
    changed = Config()
    changed.merge_from_dict(changes)
    return changed.to_dict()
