"""The reconstruction error of the four methods, side by side."""

import hashlib
import time
from functools import cache, partial
from pathlib import Path
from typing import Callable, Dict, List, Sequence

from stored import stored

from epsanet_mmdet.weight_transfer.command import transplant_and_measure
from epsanet_mmdet.weight_transfer.images import Pictures, read_pictures
from epsanet_mmdet.weight_transfer.methods import METHODS, FitSettings
from epsanet_mmdet.weight_transfer.reconstruction import StageReconstruction
from epsanet_mmdet.weight_transfer.teacher import read_teacher


def compare_methods(
    teacher: str,
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
) -> Dict[str, List[StageReconstruction]]:
    """Initialise an EPSANet by each method, and measure all on the same held-out images.

    Results are kept in ``work_dir`` and reused for equal settings.

    Args:
        teacher: Checkpoint of a ResNet.
        images: Folder of any images.
        work_dir: Folder for the results.
        arch: Variant of EPSANet.
        methods: Some of :data:`METHODS`.
        image_size: Height and width of the views, pixels.
        max_images: Maximum number of images to read.
        views: Crops of every image to fit on.
        positions: Maximum number of feature map positions to fit each block on.
        seed: For the split of the images, the crops and the positions.
        progress: Called with a line after every method.
    """
    settings = dict(
        donor=_digest(Path(teacher)),
        images=str(Path(images).resolve()),
        arch=arch,
        image_size=image_size,
        max_images=max_images,
        views=views,
        positions=positions,
        seed=seed,
    )
    resnet = cache(lambda: read_teacher(teacher))

    @cache
    def pictures() -> Pictures:
        return read_pictures(images, image_size, max_images, views, seed)

    def measure(method: str) -> List[list]:
        started = time.process_time()
        _, stages = transplant_and_measure(
            resnet(), arch, method, pictures(), FitSettings(positions, seed=seed)
        )
        progress(f'{arch}, {method}: {time.process_time() - started:.0f} s of CPU time')
        return [list(stage) for stage in stages]

    found = {}
    for method in methods:
        file = Path(work_dir) / f'{arch}-{method}.json'
        stages = stored(file, settings, 'stages', partial(measure, method))
        found[method] = [StageReconstruction(*stage) for stage in stages]
    return found


def _digest(file: Path) -> str:
    """Return the SHA-256 of a file, which changes when another is written to the same place."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else 'none'
