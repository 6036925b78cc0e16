"""The response that each of the four starts keeps, side by side."""

import hashlib
import json
import time
from pathlib import Path
from typing import Callable, Dict, List, Sequence

from epsanet_mmdet.weight_transfer.response import StageResponse
from epsanet_mmdet.weight_transfer.starts import METHODS, FitSettings

from epsanet_mmdet.utils.storage import write_json
from epsanet_mmdet.weight_transfer.command import read_matching_donor, transplant_and_measure
from epsanet_mmdet.weight_transfer.images import read_pictures


def compare_methods(
    donor: str,
    images: str,
    work_dir: str,
    arch: str = 'small',
    methods: Sequence[str] = METHODS,
    image_size: int = 224,
    max_images: int = 250,
    views: int = 1,
    positions: int = FitSettings.positions,
    seed: int = 0,
    progress: Callable[[str], None] = print,
) -> Dict[str, List[StageResponse]]:
    """Make an EPSANet by each method, and measure all on the same held-out images.

    What was measured is kept in ``work_dir``, and not measured again with equal settings.

    Args:
        donor: Checkpoint of a ResNet.
        images: Folder of any images.
        work_dir: Folder for the results.
        arch: Of the EPSANet.
        methods: Of :data:`METHODS`.
        image_size: Height and width of the views, pixels.
        max_images: Images to read, at most.
        views: Crops of every image to fit on.
        positions: Positions of the maps that each block is fitted on, at most.
        seed: Of the images' split, the crops and the positions.
        progress: Called with a line after every method.
    """
    settings = dict(
        donor=_digest(Path(donor)),
        images=str(Path(images).resolve()),
        arch=arch,
        image_size=image_size,
        max_images=max_images,
        views=views,
        positions=positions,
        seed=seed,
    )
    giver = pictures = None
    found = {}
    for method in methods:
        file = Path(work_dir) / f'{arch}-{method}.json'
        stored = json.loads(file.read_text()) if file.is_file() else {}
        if stored.get('settings') != settings:
            giver = giver or read_matching_donor(donor)
            pictures = pictures or read_pictures(images, image_size, max_images, views, seed)
            started = time.process_time()
            _, stages = transplant_and_measure(
                giver, arch, method, pictures, FitSettings(positions, seed=seed)
            )
            stored = dict(settings=settings, stages=[list(stage) for stage in stages])
            write_json(stored, file)
            progress(f'{arch}, {method}: {time.process_time() - started:.0f} s of CPU time')
        found[method] = [StageResponse(*stage) for stage in stored['stages']]
    return found


def _digest(donor: Path) -> str:
    """What tells a donor from another that was written to the same place."""
    return hashlib.sha256(donor.read_bytes()).hexdigest() if donor.is_file() else 'none'
