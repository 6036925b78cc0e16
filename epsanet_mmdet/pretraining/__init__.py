"""Pre-train backbones as classifiers on image folders, with mmengine's Runner."""

from .accuracy import TopKAccuracy
from .classifier import ImageClassifier
from .image_folder import ImageFolder
from .throughput import ThroughputHook
from .transforms import PackClassInputs, RandomResizedCrop, ResizeShortSide

__all__ = [
    'ImageClassifier',
    'ImageFolder',
    'PackClassInputs',
    'RandomResizedCrop',
    'ResizeShortSide',
    'ThroughputHook',
    'TopKAccuracy',
]
