"""Data sets: checked COCO annotations, and a generated one."""

from .coco import CheckedCocoDataset
from .coco_evaluation import CocoMetric
from .mixing import ByteCopyPaste, InstanceMosaic
from .skipped import SkippedDataHook

__all__ = [
    'ByteCopyPaste',
    'CheckedCocoDataset',
    'CocoMetric',
    'InstanceMosaic',
    'SkippedDataHook',
]
