"""Checking a data set from end to end."""

from dataclasses import dataclass
from typing import List, Optional, Sequence

from ...datasets.findings import Findings
from ...datasets.split import Split
from ..formats import read_splits
from .annotations import check_annotations
from .categories import check_categories, unite_categories
from .images import ImageCheck, check_images, image_paths, read_images
from .sets import check_sets


@dataclass
class CheckedData:
    """A data set that has been checked.

    Args:
        splits: Its splits, with everything repaired or left out that was at fault.
        images: What is known of the images of each split.
        findings: What was at fault.
    """

    splits: List[Split]
    images: List[ImageCheck]
    findings: Findings


def check_dataset(
    paths: Sequence[str], image_dir: Optional[str] = None, progress: bool = True
) -> CheckedData:
    """Check COCO, Pascal VOC or YOLO data, and decode every image.

    Args:
        paths: Folders of a data set, COCO JSON files, or YOLO's ``data.yaml``.
        image_dir: Folder of the images of COCO annotations; None to look for it.
        progress: Show a progress bar on the terminal.

    Raises:
        DataError: If a path does not exist, or holds no annotations of a known format.
    """
    findings = Findings()
    found = read_splits(paths, image_dir, findings)
    facts = read_images(image_paths(found), progress)
    splits, checked = [], []
    for split in found:
        images = check_images(split, facts, findings)
        categories, ids = check_categories(split, findings)
        annotations = check_annotations(split, images, ids, findings)
        splits.append(
            Split(
                split.name,
                split.source,
                split.format,
                split.image_dir,
                images.kept,
                annotations,
                categories,
            )
        )
        checked.append(images)
    if splits:
        unite_categories(splits, findings)
        check_sets(splits, checked, findings)
    return CheckedData(splits, checked, findings)
