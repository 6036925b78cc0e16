"""Data sets: checked COCO annotations, and a generated one."""

from .coco import CheckedCocoDataset

__all__ = ['CheckedCocoDataset']
