"""Data sets for browsing, whose objects are rectangles in the colour of their class."""

from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from small_data import CLASSES, COLOURS

from epsanet_mmdet.own_data.browse.samples import Sample, build_dataset, draw_samples

IMAGE = dict(type='LoadImageFromFile')
ANNOTATIONS = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
DOUBLED = dict(type='Resize', scale=(128, 96), keep_ratio=True)
PACKED = dict(type='PackDetInputs')


def coco_source(root: Path, pipeline: List[Dict], **settings) -> Dict[str, Any]:
    """Return the config of a data set of mmdet's own class."""
    return dict(
        type='CocoDataset',
        data_root=str(root),
        ann_file='annotations/train.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=CLASSES),
        pipeline=pipeline,
        **settings,
    )


def samples_of(
    dataset: Dict, split: str = 'train', count: int = 6, repeats: int = 1, seed: int = 0
) -> List[List[Sample]]:
    """Return the samples of the config of a data set."""
    config = Config({f'{split}_dataloader': dict(dataset=dataset)})
    with DefaultScope.overwrite_default_scope('mmdet'):
        return list(draw_samples(build_dataset(config, split), count, repeats, seed))


def built(dataset: Dict) -> Any:
    with DefaultScope.overwrite_default_scope('mmdet'):
        return DATASETS.build(dataset)


def share_of_colour(sample: Sample, i: int, margin: int = 2) -> Optional[float]:
    """Return the share of an object's inner pixels that have the colour of its class.

    The inner pixels are those of its mask, if it has one, farther than the margin from its box.
    """
    left, top, right, bottom = sample.boxes[i].round().astype(int)
    place = slice(top + margin, bottom - margin), slice(left + margin, right - margin)
    pixels = sample.image[place].astype(int)
    near = np.abs(pixels - COLOURS[sample.labels[i]][::-1]).max(-1) < 12
    near = near if sample.masks is None else near[sample.masks[i][place]]
    return near.mean() if near.size else None
