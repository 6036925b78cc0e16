"""Reading COCO, Pascal VOC and YOLO data sets as they are found.

Parsers of JSON, XML, YAML and run-length masks are libraries'; what stands here maps their
content to COCO's form and says where each entry came from, which the libraries that read whole
data sets do not: they stop at the first fault.
"""

from .discovery import read_splits

__all__ = ['read_splits']
