"""Deployment from the command line: turn a checkpoint into deployed files and check each."""

from functools import cache, partial
from pathlib import Path
from typing import Callable, List, Optional, Sequence

from ..errors import ArgumentError, DifferenceError
from ..inference.detector import Detector
from ..inference.output_paths import check_inputs_stay
from ..models.deployed import deploy
from .checked_files import Checked, DenseFiles, WholeFiles, check_picture
from .deployed_checkpoint import load_deployed, save_deployed
from .export import MIN_OPSET, OPSET, RawOutputs, check_opset, require
from .operators import MIN_OPSET as MIN_WHOLE_OPSET
from .targets import prepare_for

SUFFIXES = {
    '.pth': 'a checkpoint for load_deployed',
    '.pt2': 'a program of torch.export',
    '.onnx': 'an ONNX model',
    '.xml': 'an OpenVINO model',
}
EXTRA = {
    '.onnx': ('onnx', 'onnxscript', 'onnxruntime'),
    '.xml': ('onnx', 'onnxscript', 'openvino'),
}


def run_deploy(
    config: str,
    checkpoint: str,
    out: Sequence[str],
    backbone: bool = False,
    dense: bool = False,
    target: str = 'cpu',
    opset: int = OPSET,
    image: Optional[str] = None,
    write: Callable[[str], None] = print,
) -> List[float]:
    """Deploy a trained detector to files and compare each with the original.

    ONNX and OpenVINO files contain the whole detector, unless ``backbone`` or ``dense`` is set.

    Args:
        config: Path or bare name of the config.
        checkpoint: File or URL of the weights.
        out: Files to write. Their suffixes select the format, see :data:`SUFFIXES`.
        backbone: Export only the backbone.
        dense: Export the dense outputs of the detector, see :class:`RawOutputs`.
        target: Device to export for, ``'cpu'`` or ``'cuda'``, see :func:`prepare_for`.
        opset: Version of the ONNX operators.
        image: Image in which the detections are compared. Default: a generated picture.
        write: Called with a line about each file.

    Returns:
        For each file, the greatest difference of an output: of maps for a random image, relative to
        the greatest value, or of detections, see :func:`compare_detections`.

    Raises:
        ArgumentError: If a suffix or option is unknown, they do not go together, or the detector
            cannot be exported.
        DifferenceError: If a difference exceeds 1e-4 for maps or 1e-3 for detections.
        UserError: If a package or file is missing, or a file cannot be written or is an input.
    """
    paths = [Path(name) for name in out]
    for path in paths:
        _check_file(path, backbone, dense, target, opset)
    written = [*paths, *(path.with_suffix('.bin') for path in paths if path.suffix == '.xml')]
    check_inputs_stay(written, [name for name in (config, checkpoint, image) if name], '--out')
    picture = check_picture(image)
    detector = Detector(config, checkpoint, 'cpu')
    model = detector.model.eval()
    deployed = deploy(model)
    network = prepare_for(deployed, target)
    parts = (model.backbone, network.backbone) if backbone else (model, network)
    dense_files = cache(partial(DenseFiles, *parts, opset))
    whole_files = cache(partial(WholeFiles, detector, network, opset, picture))
    differences = []
    for path in paths:
        if path.suffix == '.pth':
            save_deployed(deployed, path)
            files = dense_files()
            checked = files.check(RawOutputs(load_deployed(config, path))(files.images))
        elif path.suffix == '.pt2' or backbone or dense:
            checked = dense_files().write(path)
        else:
            checked = whole_files().write(path)
        differences.append(checked.difference)
        _require_equal(path, checked)
        difference = f'{checked.difference:.1e}{checked.compared}'
        write(f'{path}: {SUFFIXES[path.suffix]}, the same to {difference}')
    return differences


def _check_file(path: Path, backbone: bool, dense: bool, target: str, opset: int) -> None:
    if path.suffix not in SUFFIXES:
        known = ', '.join(f'{suffix} ({format})' for suffix, format in SUFFIXES.items())
        raise ArgumentError(f"'{path}' has none of the suffixes {known}")
    if path.suffix == '.pth' and (backbone or dense):
        option = '--backbone' if backbone else '--dense'
        raise ArgumentError(f"'{path}' holds the whole detector; leave out {option}")
    if path.suffix == '.xml' and target == 'cuda':
        raise ArgumentError(f"'{path}' is for OpenVINO, which uses no CUDA; leave out --target")
    if path.suffix in EXTRA:
        require(*EXTRA[path.suffix])
        if backbone or dense:
            check_opset(opset, MIN_OPSET, 'dense outputs')
        else:
            check_opset(opset, MIN_WHOLE_OPSET, 'a whole detector')


def _require_equal(path: Path, checked: Checked) -> None:
    if not checked.difference <= checked.limit:
        raise DifferenceError(
            f"'{path}' differs from the checkpoint by {checked.difference:.1e} of the greatest "
            f'value, more than {checked.limit:g}; do not use it'
        )
