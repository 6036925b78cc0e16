"""Detection on pictures, folders, videos and webcams."""

from .detections import Detections
from .detector import Detector
from .run import detect, infer

__all__ = ['Detections', 'Detector', 'detect', 'infer']
