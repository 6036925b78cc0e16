"""A Mask R-CNN small enough for tests, with random weights, and a data set it runs on."""

import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

import epsanet_mmdet  # noqa: F401
from epsanet_mmdet.config.load import configs_dir

CLASSES = ('disc', 'box')
CONFIG = """
_base_ = '{base}'
classes = ('disc', 'box')
data_root = '{data_root}/'
data = dict(
    data_root=data_root,
    ann_file='annotations.json',
    data_prefix=dict(img='images/'),
    metainfo=dict(classes=classes),
)
model = dict(
    backbone=dict(init_cfg=None, frozen_stages=-1),
    neck=dict(out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=64, num_classes=2),
        mask_roi_extractor=dict(out_channels=64),
        mask_head=dict(num_convs=1, in_channels=64, conv_out_channels=64, num_classes=2),
    ),
    test_cfg=dict(rpn=dict(max_per_img=50), rcnn=dict(max_per_img=10)),
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 64), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline, **data)
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations.json')
test_evaluator = val_evaluator
"""


class TinyDetector(NamedTuple):
    config: str
    checkpoint: str
    images: Path
    ann_file: Path


def write_data(folder: Path, count: int = 4) -> None:
    """Write pictures of discs and boxes, annotated with their masks."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    (folder / 'images').mkdir(parents=True)
    for i in range(1, count + 1):
        name = f'picture {i}.png'
        picture = rng.integers(0, 60, (64, 96, 3), np.uint8)
        images.append(dict(id=10 * i, file_name=name, width=96, height=64))
        for k in range(3):
            x, y, r = 16 + 30 * k, int(rng.integers(16, 48)), int(rng.integers(6, 14))
            mask = np.zeros((64, 96), np.uint8)
            if k % 2:
                cv2.rectangle(mask, (x - r, y - r), (x + r, y + r), 1, -1)
            else:
                cv2.circle(mask, (x, y), r, 1, -1)
            picture[mask > 0] = (200, 80, 40) if k % 2 else (40, 80, 200)
            contour = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0][0]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=10 * i,
                    category_id=7 if k % 2 else 3,
                    bbox=[x - r, y - r, 2 * r + 1, 2 * r + 1],
                    area=int(mask.sum()),
                    iscrowd=0,
                    segmentation=[contour.flatten().tolist()],
                )
            )
        cv2.imencode('.png', picture)[1].tofile(folder / 'images' / name)
    categories = [dict(id=3, name='disc'), dict(id=7, name='box')]
    content = dict(images=images, annotations=annotations, categories=categories)
    (folder / 'annotations.json').write_text(json.dumps(content))


def write_checkpoint(config: Config, path: Path, **meta) -> str:
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict(), meta=meta), path)
    return str(path)


@pytest.fixture(scope='session')
def tiny_detector(tmp_path_factory) -> TinyDetector:
    folder = tmp_path_factory.mktemp('tiny détecteur')
    write_data(folder)
    base = configs_dir() / 'epsanet' / 'mask-rcnn_epsanet50-s_fpn_1x_coco.py'
    path = folder / 'tiny.py'
    path.write_text(CONFIG.format(base=base, data_root=folder))
    config = Config.fromfile(path)
    checkpoint = write_checkpoint(
        config, folder / 'tiny.pth', dataset_meta=dict(classes=CLASSES, palette=None)
    )
    return TinyDetector(str(path), checkpoint, folder / 'images', folder / 'annotations.json')
