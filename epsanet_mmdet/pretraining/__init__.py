"""Pre-training of backbones as classifiers on folders of images, on mmengine's Runner."""

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
