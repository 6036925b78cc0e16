"""Reading COCO, Pascal VOC and YOLO data sets as they are found.

Parsers of JSON, XML, YAML and run-length masks are libraries'; what stands here maps their
content to COCO's form and says where each entry came from, which the libraries that read whole
data sets do not: they stop at the first fault.
"""

from .coco_json import write_coco
from .discovery import read_splits
from .split import Split, leaves_root, place_of

__all__ = ['Split', 'leaves_root', 'place_of', 'read_splits', 'write_coco']
