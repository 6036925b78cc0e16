"""Data sets: checked COCO annotations, and a generated one."""

from .coco import CheckedCocoDataset
from .coco_evaluation import CocoMetric
from .skipped import SkippedDataHook

__all__ = ['CheckedCocoDataset', 'CocoMetric', 'SkippedDataHook']
