"""Checking a data set from end to end."""

from dataclasses import dataclass, replace
from typing import List, Optional, Sequence

from ..findings import Findings
from ..formats import read_splits
from ..formats.split import Split
from .annotations import check_annotations
from .categories import check_categories, unite_categories
from .decoding import read_images
from .images import ImageCheck, check_images, image_paths
from .sets import check_sets


@dataclass
class CheckedData:
    """A checked data set.

    Args:
        splits: Its splits, in which all faults are repaired or left out.
        images: The checked images of each split.
        findings: The faults.
    """

    splits: List[Split]
    images: List[ImageCheck]
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
    checked = []
    for i, split in enumerate(splits):
        images = check_images(split, facts, findings)
        categories, ids = check_categories(split, findings)
        annotations = check_annotations(split, images, ids, findings)
        splits[i] = replace(
            split, images=images.kept, annotations=annotations, categories=categories
        )
        checked.append(images)
    if splits:
        unite_categories(splits, findings)
        check_sets(splits, checked, findings)
    return CheckedData(splits, checked, findings)
