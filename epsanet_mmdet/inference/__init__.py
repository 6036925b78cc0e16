"""Detection in images, folders, videos and webcam streams."""

from .detections import Detections
from .detector import Detector
from .run import infer, infer_to_folder

__all__ = ['Detections', 'Detector', 'infer', 'infer_to_folder']
