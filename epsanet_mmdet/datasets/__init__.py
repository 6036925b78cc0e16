"""Data sets: checked COCO annotations, and a generated one."""

from .coco import CheckedCocoDataset
from .skipped import SkippedDataHook

__all__ = ['CheckedCocoDataset', 'SkippedDataHook']
