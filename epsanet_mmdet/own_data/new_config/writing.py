"""The text of a new config."""

import os.path as osp
from pathlib import Path
from typing import Dict, List, NamedTuple

from mmengine.config import Config

from ...config.class_heads import find_class_heads
from ...config.load import configs_dir
from ...config.python_text import Name, assign, comment, write
from .planning import Plan

SCRATCH_LR = 5e-5  # of AdamW, for each image in a batch
BASE_BATCH = 16  # images that the shipped configs' learning rate is for


class Source(NamedTuple):
    """Where the images and annotations of a split are, as mmdet's data sets take it."""

    ann_file: str
    image_prefix: str
    count: int


class Data(NamedTuple):
    """The data as a config names it."""

    root: str
    classes: List[str]
    masks: bool
    train: Source
    val: Source
    test: Source
    why: str


def config_text(path: str, base: str, config: Config, data: Data, plan: Plan) -> str:
    """Write a config.

    Args:
        path: Where it will be.
        base: Path of the shipped config that it inherits from.
        config: The same, loaded.
        data: The data.
        plan: What was chosen.
    """
    parts = [
        comment('Written by tools/new_config.py, and yours to change.'),
        assign('_base_', base_reference(base, path)),
        '',
        comment(f'The data: {data.why}'),
        assign('classes', tuple(data.classes)),
        assign('metainfo', dict(classes=Name('classes'))),
        assign('data_root', osp.join(data.root, '')),
        '',
        *_model(config, plan),
        '',
        comment(f'Image scale: {plan.scale_why}.'),
        *_pipelines(data, plan),
        '',
        comment(f'Batch size: {plan.batch_why}.'),
        *_dataloaders(data, plan),
        '',
        comment(f'Epochs: {plan.epochs_why}.'),
        *_schedule(config, plan),
    ]
    return '\n'.join(parts) + '\n'


def base_reference(base: str, path: str) -> str:
    """Name the shipped config: relative to the new one in the same source tree, or absolutely.

    ``package::config`` would be neater, but mmengine knows that of its own packages only.
    """
    base, folder = osp.realpath(base), osp.dirname(osp.realpath(path))
    root = str(configs_dir().resolve().parent)
    if osp.commonpath([root, folder]) == root:
        base = osp.relpath(base, folder)
    return Path(base).as_posix()


def _model(config: Config, plan: Plan) -> List[str]:
    changes: Dict[str, object] = {}
    lines = []
    if plan.scratch:
        lines.append(
            comment(
                f'Starting weights: {plan.weights_why}, so everything is trained from random '
                'weights, nothing is frozen, and GroupNorm takes the place of BatchNorm, which '
                'needs larger batches. A pre-trained backbone would need far fewer images.'
            )
        )
        lines.append(assign('norm_cfg', dict(type='GN', num_groups=32, requires_grad=True)))
        changes['backbone.frozen_stages'] = -1
        changes['backbone.norm_eval'] = False
        changes['backbone.zero_init_residual'] = False
        changes['backbone.norm_cfg'] = changes['neck.norm_cfg'] = Name('norm_cfg')
        changes['backbone.init_cfg'] = None
    else:
        lines.append(comment(f'Starting weights: {plan.weights_why}.'))
    if plan.backbone:
        changes['backbone.init_cfg.checkpoint'] = plan.backbone
    if plan.detector:
        changes['backbone.init_cfg'] = None
        lines.append(assign('load_from', plan.detector))
    if plan.small_anchors and 'rpn_head' in config.model:
        lines.append(
            comment('Anchors from 16 pixels instead of 32, as half of the objects are under 32.')
        )
        changes['rpn_head.anchor_generator.scales'] = [4]
    for head in find_class_heads(config.model):
        changes[f'{head.removeprefix("model.")}.num_classes'] = Name('len(classes)')
    model = Config()
    model.merge_from_dict(changes)
    return [*lines, assign('model', model.to_dict())]


def _pipelines(data: Data, plan: Plan) -> List[str]:
    load = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=data.masks),
    ]
    resize = dict(type='Resize', scale=Name('scale'), keep_ratio=True)
    meta = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
    train = [*load, resize, dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')]
    test = [load[0], resize, load[1], dict(type='PackDetInputs', meta_keys=meta)]
    return [
        assign('scale', plan.scale),
        assign('train_pipeline', train),
        assign('test_pipeline', test),
    ]


def _dataloaders(data: Data, plan: Plan) -> List[str]:
    def dataset(source: Source, pipeline: str) -> Dict:
        return dict(
            data_root=Name('data_root'),
            metainfo=Name('metainfo'),
            ann_file=source.ann_file,
            data_prefix=dict(img=source.image_prefix),
            pipeline=Name(pipeline),
        )

    metric = ['bbox', 'segm'] if data.masks else 'bbox'
    lines = [
        assign(
            'train_dataloader',
            dict(
                batch_size=plan.batch,
                num_workers=plan.workers,
                dataset=dataset(data.train, 'train_pipeline'),
            ),
        )
    ]
    for name, source in (('val', data.val), ('test', data.test)):
        if name == 'test' and source == data.val:
            lines += ['test_dataloader = val_dataloader', 'test_evaluator = val_evaluator']
            continue
        loader = dict(num_workers=plan.workers, dataset=dataset(source, 'test_pipeline'))
        evaluator = dict(ann_file=_joined(source.ann_file), metric=metric)
        lines += [assign(f'{name}_dataloader', loader), assign(f'{name}_evaluator', evaluator)]
    return lines


def _joined(ann_file: str):
    return ann_file if osp.isabs(ann_file) else Name(f'data_root + {write(ann_file)}')


def _schedule(config: Config, plan: Plan) -> List[str]:
    interval = max(1, plan.epochs // 12)
    milestones = [max(1, round(plan.epochs * share)) for share in (8 / 12, 11 / 12)]
    lines = [
        assign('max_epochs', plan.epochs),
        assign('train_cfg', dict(max_epochs=Name('max_epochs'), val_interval=interval)),
        assign(
            'param_scheduler',
            [
                dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=plan.warmup),
                dict(type='MultiStepLR', by_epoch=True, milestones=milestones, gamma=0.1),
            ],
        ),
    ]
    if plan.scratch:
        lines.append(
            comment(
                f'Learning rate: {SCRATCH_LR:g} for each of the {plan.batch} images in a batch.'
            )
        )
        optimizer = dict(type='AdamW', lr=SCRATCH_LR * plan.batch, weight_decay=0.05)
        wrapper = dict(
            _delete_=True,
            type='OptimWrapper',
            optimizer=optimizer,
            paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
            clip_grad=dict(max_norm=10),
        )
    else:
        full = config.optim_wrapper.optimizer.lr
        lines.append(
            comment(
                f'Learning rate: {full:g} is for {BASE_BATCH} images a step, here {plan.batch}.'
            )
        )
        rate = full * plan.batch / BASE_BATCH
        wrapper = dict(optimizer=dict(lr=rate), clip_grad=dict(max_norm=35))
    hooks = dict(checkpoint=dict(interval=interval, max_keep_ckpts=2, save_best='auto'))
    return [*lines, assign('optim_wrapper', wrapper), assign('default_hooks', hooks)]
