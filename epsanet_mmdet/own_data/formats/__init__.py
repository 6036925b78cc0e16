"""Reading COCO, Pascal VOC and YOLO data sets.

Libraries parse JSON, XML, YAML and run-length masks. This package maps their content to COCO's
form and records where each entry came from. Libraries that read whole data sets do not: they stop
at the first fault.
"""

from .coco import write_coco
from .discovery import read_splits
from .split import Split

__all__ = ['Split', 'read_splits', 'write_coco']
