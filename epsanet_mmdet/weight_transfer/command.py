"""From the checkpoint of a ResNet, or of a detector with one, to one with an EPSANet."""

import os
import warnings
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Tuple

import torch
from mmdet.models.backbones.resnet import ResNet
from mmengine.utils import deprecated_api_warning

from ..checkpoint.safetensors_files import write_weights
from ..checkpoint.weight_files import read_weights
from ..errors import ArgumentError
from ..models.epsanet import EPSANet
from ..utils.storage import check_file_writable, write_json
from ..version import __version__
from .heads import heads_of
from .images import Pictures, batches, draw_pictures, read_pictures
from .methods import METHODS, FitSettings, transplant
from .reconstruction import StageReconstruction, measure_reconstruction, reconstruction_table
from .teacher import read_teacher


class Transplant(NamedTuple):
    """Result of a transplant; as a string, a report to print.

    Args:
        checkpoint: File that was written; the report is beside it, as ``.json``.
        method: Method that initialised PSA.
        stages: How well each stage reproduces the teacher.
        measured_on: Images that this was measured on.
        hint: What else to know.
    """

    checkpoint: Path
    method: str
    stages: List[StageReconstruction]
    measured_on: str
    hint: str = ''

    @property
    def responses(self) -> List[StageReconstruction]:
        warnings.warn('responses is now stages', DeprecationWarning, stacklevel=2)
        return self.stages

    def __str__(self) -> str:
        table = reconstruction_table({self.method: self.stages})
        return (
            f'1 - reconstruction error on {self.measured_on}:\n{table}\n'
            f'Written to {self.checkpoint}{self.hint}'
        )


@deprecated_api_warning(dict(donor='teacher'))
def run_transplant(
    teacher: str,
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
    detector: bool = False,
    progress: Callable[[str], None] = print,
) -> Transplant:
    """Write the checkpoint of an EPSANet initialised from a ResNet, and measure its error.

    Args:
        teacher: Checkpoint of a ResNet-50, 101 or 152, or of a detector with one, file or URL.
        out: File to write, as safetensors if its name ends in ``.safetensors``. By default, the
            file that the detection configs start from.
        arch: ``'small'``, ``'large'`` or ``'large-paper'``.
        depth: Depth that the teacher must have; any by default.
        method: One of :data:`METHODS`; ``'fit'`` by default where there are images, else
            ``'permute'``.
        images: Folder of any images. Without it, the error is measured on generated images.
        image_size: Height and width of the views to fit on, pixels.
        max_images: Maximum number of images to read.
        views: Crops of every image to fit on.
        positions: Maximum number of feature map positions to fit each block on.
        seed: For the split of the images, the crops and the positions.
        detector: Write the whole detector of the checkpoint, with its neck and heads, in place of
            the backbone.
        progress: Called with lines to print.

    Raises:
        ArgumentError: If the arguments do not fit together.
        CheckpointError: If the teacher cannot be used.
        DataError: If the folder has too few images.
        StorageError: If the file cannot be written; an existing one stays as it was.
    """
    method = method or ('fit' if images else 'permute')
    settings = dict(
        image_size=image_size, max_images=max_images, views=views, positions=positions, seed=seed
    )
    _check_arguments(arch, method, images, settings)
    if detector and not out:
        raise ArgumentError('name the file to write: no config starts from a whole detector')
    weights = read_weights(teacher)
    resnet = read_teacher(teacher, depth, weights)
    heads = heads_of(weights, teacher) if detector else None
    out = Path(out or f'checkpoints/epsanet{resnet.depth}-{arch[0]}{arch[5:]}.pth')
    report_file = out.with_suffix('.json')
    _check_out(out, report_file, teacher)
    if images:
        pictures = read_pictures(images, image_size, max_images, views, seed)
        skipped = f'; {pictures.skipped} files cannot be read' if pictures.skipped else ''
        counts = f'{len(pictures.fit)} views to fit on, {len(pictures.check)} for the ridge'
        measured_on = f'{len(pictures.held_out)} held-out images of {images}'
        progress(f'{images}: {counts}, {len(pictures.held_out)} held out{skipped}')
    else:
        pictures = draw_pictures(image_size, seed=seed)
        measured_on = f'{len(pictures.held_out)} generated images'
    student, stages = transplant_and_measure(
        resnet, arch, method, pictures, FitSettings(positions, seed=seed), progress
    )
    report = dict(
        method=method,
        arch=arch,
        depth=resnet.depth,
        donor=Path(teacher).name,
        measured_on=measured_on,
        settings=settings,
        epsanet_mmdet=__version__,
        response_kept=[stage._asdict() for stage in stages],
    )
    if heads:
        write_weights(heads.with_backbone(student), {**report, **heads.meta}, out)
    else:
        write_weights(student.state_dict(), report, out)
    write_json(report, report_file)
    hint = f'\nTrain it further with --cfg-options load_from={out}' if heads else ''
    return Transplant(out, method, stages, measured_on, hint)


def transplant_and_measure(
    teacher: ResNet,
    arch: str,
    method: str,
    pictures: Pictures,
    settings: FitSettings,
    progress: Callable[[str], None] = lambda line: None,
) -> Tuple[EPSANet, List[StageReconstruction]]:
    """Build an EPSANet and initialise it from a teacher.

    Returns:
        The EPSANet in eval mode, and how well each stage reproduces the teacher on the held-out
        images.
    """
    torch.manual_seed(settings.seed)
    student = EPSANet(teacher.depth, arch, norm_cfg=dict(type='BN'))
    student.eval()
    permutations = transplant(teacher, student, method, pictures, settings, progress)
    held_out = batches(pictures.held_out, settings.batch_size)
    return student, measure_reconstruction(teacher, student, permutations, held_out)


def _check_out(out: Path, report_file: Path, teacher: str) -> None:
    if out.exists() and Path(teacher).exists() and os.path.samefile(out, teacher):
        raise ArgumentError(f"'{out}' is the teacher itself; name another file to write to")
    if out == report_file:
        raise ArgumentError(f"'{out}' is for the report; name a .pth or .safetensors file")
    if report_file.exists() and 'response_kept' not in report_file.read_text(errors='replace'):
        raise ArgumentError(
            f"'{report_file}', where the report goes, is another file; name another file to write"
        )
    check_file_writable(out)


def _check_arguments(arch: str, method: str, images: Optional[str], settings: dict) -> None:
    for name, value, choices in (('arch', arch, EPSANet.archs), ('method', method, METHODS)):
        if value not in choices:
            raise ArgumentError(f'there is no {name} {value!r}; choose one of {", ".join(choices)}')
    if method == 'fit' and not images:
        raise ArgumentError("method 'fit' needs images; name a folder, or use method 'permute'")
    for name, least in dict(image_size=32, max_images=1, views=1, positions=1).items():
        if settings[name] < least:
            raise ArgumentError(f'{name}={settings[name]} is too small; use {least} or more')
