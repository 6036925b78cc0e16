"""Reading COCO, Pascal VOC and YOLO data sets.

Libraries parse JSON, XML, YAML and run-length masks. This package maps their content to COCO's
form and records where each entry came from. Libraries that read whole data sets do not: they stop
at the first fault.
"""

from .discovery import read_splits

__all__ = ['read_splits']
