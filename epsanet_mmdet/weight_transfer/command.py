"""From a ResNet's checkpoint to an EPSANet's, with a report beside it."""

import os
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Tuple

import torch

from ..checkpoint.safetensors_files import write_weights
from ..errors import ArgumentError, CheckpointError
from ..models.epsanet import EPSANet
from ..utils.storage import check_file_writable, write_json
from ..version import __version__
from .donor import Donor, read_donor
from .images import Pictures, batches, draw_pictures, read_pictures
from .response import StageResponse, response_kept, response_table
from .starts import METHODS, FitSettings, transplant

WIDTH = 64  # of the first stage of ResNet-50, 101 and 152


class Transplant(NamedTuple):
    """What came of a transplant.

    Args:
        checkpoint: File that was written; the report is beside it, as ``.json``.
        method: How PSA's branches were derived.
        responses: What each stage keeps.
        measured_on: Which images that was measured on.
    """

    checkpoint: Path
    method: str
    responses: List[StageResponse]
    measured_on: str

    def __str__(self) -> str:
        table = response_table({self.method: self.responses})
        return f'Response kept on {self.measured_on}:\n{table}\nWritten to {self.checkpoint}'


def run_transplant(
    donor: str,
    out: Optional[str] = None,
    arch: str = 'small',
    depth: Optional[int] = None,
    method: Optional[str] = None,
    images: Optional[str] = None,
    image_size: int = 224,
    max_images: int = 250,
    views: int = 1,
    positions: int = FitSettings.positions,
    seed: int = 0,
    progress: Callable[[str], None] = print,
) -> Transplant:
    """Make an EPSANet's backbone checkpoint from a ResNet's, and measure what it keeps.

    Args:
        donor: Checkpoint of a ResNet-50, 101 or 152, file or URL.
        out: File to write, as safetensors if its name ends so; by default the one that the
            detection configs start from.
        arch: ``'small'``, ``'large'`` or ``'large-paper'``.
        depth: Of both; the donor's by default.
        method: One of :data:`METHODS`; ``'fit'`` by default where there are images, else
            ``'permute'``.
        images: Folder of any images; without one, the response is measured on generated ones.
        image_size: Height and width of the views to fit on, pixels.
        max_images: Images to read, at most.
        views: Crops of every image to fit on.
        positions: Positions of the maps that each block is fitted on, at most.
        seed: Of the images' split, the crops and the positions.
        progress: Called with lines to print.

    Raises:
        ArgumentError: If the arguments do not fit together.
        CheckpointError: If the donor cannot be used.
        DataError: If the folder has too few images.
        StorageError: If the file cannot be written; one that was there stays as it was.
    """
    method = method or ('fit' if images else 'permute')
    check_choices(arch, method, images)
    check_numbers(image_size, max_images=max_images, views=views, positions=positions)
    giver = read_matching_donor(donor, depth)
    out = Path(out or f'checkpoints/epsanet{giver.depth}-{arch[0]}{arch[5:]}.pth')
    check_out(out, donor)
    if images:
        pictures = read_pictures(images, image_size, max_images, views, seed)
        skipped = f'; {pictures.skipped} files cannot be read' if pictures.skipped else ''
        counts = f'{len(pictures.fit)} views to fit on, {len(pictures.check)} for the ridge'
        measured_on = f'{len(pictures.held_out)} held-out images of {images}'
        progress(f'{images}: {counts}, {len(pictures.held_out)} held out{skipped}')
    else:
        pictures = draw_pictures(image_size, seed=seed)
        measured_on = f'{len(pictures.held_out)} generated images'
    settings = FitSettings(positions=positions, seed=seed)
    ours, responses = transplant_and_measure(giver, arch, method, pictures, settings, progress)
    report = dict(
        method=method,
        arch=arch,
        depth=giver.depth,
        donor=Path(donor).name,
        measured_on=measured_on,
        settings=dict(
            image_size=image_size,
            max_images=max_images,
            views=views,
            positions=positions,
            seed=seed,
        ),
        epsanet_mmdet=__version__,
        response_kept=[response._asdict() for response in responses],
    )
    write_weights(ours.state_dict(), report, out)
    write_json(report, out.with_suffix('.json'))
    return Transplant(out, method, responses, measured_on)


def transplant_and_measure(
    donor: Donor,
    arch: str,
    method: str,
    pictures: Pictures,
    settings: FitSettings,
    progress: Callable[[str], None] = lambda line: None,
) -> Tuple[EPSANet, List[StageResponse]]:
    """Make an EPSANet from a donor.

    Returns:
        The EPSANet in eval mode, and what each stage keeps on the images held out.
    """
    torch.manual_seed(settings.seed)
    ours = EPSANet(donor.depth, arch, norm_cfg=dict(type='BN'))
    ours.eval()
    orders = transplant(donor.model, ours, method, pictures, settings, progress)
    held_out = batches(pictures.held_out, settings.batch_size)
    return ours, response_kept(donor.model, ours, orders, held_out)


def read_matching_donor(path: str, depth: Optional[int] = None) -> Donor:
    """Read a donor of a given depth, and of the usual width.

    Raises:
        CheckpointError: If it is of another depth or width, or none.
    """
    donor = read_donor(path)
    if depth is not None and donor.depth != depth:
        raise CheckpointError(
            f"donor '{path}' is a ResNet-{donor.depth}, but depth {depth} was asked for; ask for "
            f'depth {donor.depth}, or give the checkpoint of a ResNet-{depth}'
        )
    width = donor.model.base_channels
    if width != WIDTH:
        raise CheckpointError(
            f"donor '{path}' has {width} channels in its first stage where a ResNet-{donor.depth} "
            f'has {WIDTH}; give one of the usual width'
        )
    return donor


def check_choices(arch: str, method: str, images: Optional[str]) -> None:
    """Raise an ArgumentError on an unknown name, or a method without its images."""
    for name, value, choices in (('arch', arch, EPSANet.archs), ('method', method, METHODS)):
        if value not in choices:
            raise ArgumentError(f'there is no {name} {value!r}; choose one of {", ".join(choices)}')
    if method == 'fit' and not images:
        raise ArgumentError("method 'fit' needs images; name a folder, or use method 'permute'")


def check_numbers(image_size: int, **counts: int) -> None:
    """Raise an ArgumentError that names the number at fault."""
    if image_size < 32:
        raise ArgumentError(f'image_size={image_size} is too small for a ResNet; give 32 or more')
    for name, value in counts.items():
        if value < 1:
            raise ArgumentError(f'{name}={value} leaves nothing to work on; give at least 1')


def check_out(out: Path, donor: str) -> None:
    """Raise an error if a file cannot be written, before the work that leads to it.

    Raises:
        ArgumentError: If it is the donor itself.
        StorageError: If its folder cannot be written to.
    """
    if out.exists() and Path(donor).exists() and os.path.samefile(out, donor):
        raise ArgumentError(f"'{out}' is the donor itself; give another file to write to")
    check_file_writable(out)
