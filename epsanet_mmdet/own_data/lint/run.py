"""Checking a data set from end to end."""

from dataclasses import dataclass
from typing import List, Optional, Sequence

from ..findings import Findings
from ..formats import read_splits
from ..formats.split import Split
from .annotations import check_annotations
from .categories import check_categories, unite_categories
from .decoding import read_images
from .images import check_images, image_paths
from .sets import check_sets


@dataclass
class CheckedData:
    """A checked data set.

    Args:
        splits: Its splits, in which all faults are repaired or left out.
        findings: The faults.
    """

    splits: List[Split]
    findings: Findings


def check_dataset(paths: Sequence[str], image_dir: Optional[str] = None) -> CheckedData:
    """Check COCO, Pascal VOC or YOLO data, and decode every image.

    Args:
        paths: Folders of a data set, COCO JSON files, or a YOLO ``data.yaml``.
        image_dir: Folder of the images of COCO annotations; None to search for it.

    Raises:
        DataError: If a path does not exist, or holds no annotations in a known format.
    """
    findings = Findings()
    splits = read_splits(paths, image_dir, findings)
    facts = read_images(image_paths(splits))
    for split in splits:
        images = check_images(split, facts, findings)
        split.categories, ids = check_categories(split, findings)
        split.annotations = check_annotations(split, images, ids, findings)
        split.images, split.digests = images.kept, images.digests
    if splits:
        unite_categories(splits, findings)
        check_sets(splits, findings)
    return CheckedData(splits, findings)
