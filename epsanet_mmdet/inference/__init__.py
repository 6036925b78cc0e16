"""Detection on pictures, folders, videos and webcams."""

from .detections import Detections
from .detector import Detector
from .run import infer, infer_to_folder

__all__ = ['Detections', 'Detector', 'infer', 'infer_to_folder']
