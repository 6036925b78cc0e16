"""A plan whose jobs take seconds: two networks with few channels on six drawn images."""

import os
from pathlib import Path
from typing import Any, Dict

import yaml
from small_data import write_coco
from tool_process import run_tool

from epsanet_mmdet.config.load import configs_dir

TOOL = configs_dir().parent / 'tools' / 'reproduce.py'
CONFIG = """
_base_ = '{base}'
model = dict(
    backbone=dict(base_channels=8, {backbone}),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=16),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=16))),
    test_cfg=dict(rpn=dict(max_per_img=20), rcnn=dict(max_per_img=10)),
)
optim_wrapper = dict(optimizer=dict(lr=0.005))
default_hooks = dict(logger=dict(interval=1))
{more}
"""
BACKBONES = dict(
    resnet='',
    senet="plugins=[dict(cfg=dict(type='SELayer2d'), position='after_conv3')]",
)


def write_config(folder: Path, name: str, backbone: str = '', more: str = '') -> str:
    """Write the config of a tiny detector, and return its path."""
    base = configs_dir() / '_base_' / 'mask-rcnn_fpn_small-data.py'
    path = folder / f'{name}.py'
    path.write_text(CONFIG.format(base=base, backbone=backbone, more=more))
    return str(path)


def plan_content(folder: Path) -> Dict[str, Any]:
    """Write data and configs, and return a plan with them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_coco(folder / 'data', train=4, val=2)
    rows = [
        dict(name=name, config=write_config(folder, name, backbone))
        for name, backbone in BACKBONES.items()
    ]
    return dict(
        title='Tiny',
        seeds=[0],
        weights='scratch',
        data=dict(
            root=str(folder / 'data'),
            train_ann='annotations/train.json',
            val_ann='annotations/val.json',
        ),
        training=dict(epochs=3, batch_size=2, image_scale=[64, 48], workers=0, val_interval=3),
        rows=rows,
    )


def write_plan(folder: Path, **changes) -> Path:
    """Write the plan with some values replaced, or left out where they are None."""
    content = {**plan_content(folder), **changes}
    path = folder / 'tiny.yml'
    content = {key: value for key, value in content.items() if value is not None}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def reproduce(plan: Path, work_dir: Path, *arguments: str, **environment: str):
    """Run the tool to its end."""
    environment = {**os.environ, **environment}
    arguments = (plan, '--work-dir', work_dir, *arguments)
    return run_tool('reproduce.py', *arguments, environment=environment)
