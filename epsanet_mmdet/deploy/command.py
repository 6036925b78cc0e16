"""Deployment from the command line: turn a checkpoint into deployed files and check each."""

from pathlib import Path
from typing import Callable, Dict, List, Sequence, Union

import torch
from mmengine.config import Config
from torch import Tensor, nn

from ..checkpoint import load_untrusted
from ..checkpoint.weight_files import check_checkpoint_path
from ..config.build import build_without_weights
from ..config.load import load_config
from ..errors import ArgumentError, CheckpointError, DifferenceError
from ..inference.detector import Detector
from ..layers.deployed_psa import PlainBranches, split_groups
from ..models.deployed import deploy
from ..utils.storage import save_whole
from ..version import __version__
from .export import RawOutputs, export_onnx, export_program, require

SUFFIXES = {
    '.pth': 'a checkpoint for load_deployed',
    '.pt2': 'a program of torch.export',
    '.onnx': 'an ONNX model',
}
TOLERANCE = 1e-4  # of the greatest value
CHECK_SIZE = (1, 3, 320, 416)


def run_deploy(
    config: str,
    checkpoint: str,
    out: Sequence[str],
    backbone: bool = False,
    write: Callable[[str], None] = print,
) -> List[float]:
    """Deploy a trained detector to files and compare each with the original.

    Args:
        config: Path or bare name of the config.
        checkpoint: File or URL of the weights.
        out: Files to write. Their suffixes select the format, see :data:`SUFFIXES`.
        backbone: Export only the backbone.
        write: Called with a line about each file.

    Returns:
        For each file, the greatest difference of an output on a random image, relative to the
        greatest value of that output.

    Raises:
        ArgumentError: If a suffix is unknown, or does not go with ``backbone``.
        DifferenceError: If a difference exceeds :data:`TOLERANCE`.
        UserError: If a package or file is missing, or a file cannot be written.
    """
    paths = [Path(name) for name in out]
    for path in paths:
        if path.suffix not in SUFFIXES:
            known = ', '.join(f'{suffix} ({format})' for suffix, format in SUFFIXES.items())
            raise ArgumentError(f"'{path}' has none of the suffixes {known}")
        if path.suffix == '.onnx':
            require('onnx', 'onnxscript', 'onnxruntime')
        if path.suffix == '.pth' and backbone:
            raise ArgumentError(f"'{path}' holds the whole detector; leave out --backbone")
    detector = Detector(config, checkpoint, 'cpu').model.eval()
    whole = deploy(detector)
    original, network = (m.backbone if backbone else m for m in (detector, whole))
    images = torch.randn(CHECK_SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = RawOutputs(original.eval())(images)
    differences = []
    for path in paths:
        if path.suffix == '.pth':
            save_deployed(whole, path)
            got = RawOutputs(load_deployed(config, path))(images)
        elif path.suffix == '.pt2':
            program = export_program(network)
            save_whole(program, path, torch.export.save)
            got = program.module()(images)
        else:
            export_onnx(network, path)
            got = _run_onnx(path, images)
        differences.append(greatest_difference(got, expected))
        if not differences[-1] <= TOLERANCE:
            raise DifferenceError(
                f"'{path}' differs from the checkpoint by {differences[-1]:.1e} of the greatest "
                f'value, more than {TOLERANCE:g}; do not use it'
            )
        write(f'{path}: {SUFFIXES[path.suffix]}, the same to {differences[-1]:.1e}')
    return differences


def save_deployed(detector: nn.Module, path: Union[str, Path]) -> None:
    """Save a deployed detector as a checkpoint for :func:`load_deployed`.

    Raises:
        StorageError: If the file cannot be written.
    """
    meta = dict(deployed=True, epsanet_mmdet=__version__)
    if getattr(detector, 'dataset_meta', None):
        meta['dataset_meta'] = dict(detector.dataset_meta)
    save_whole(dict(meta=meta, state_dict=detector.state_dict()), path)


def load_deployed(config: Union[str, Config], checkpoint: Union[str, Path]) -> nn.Module:
    """Load a deployed detector from its config and its deployed checkpoint.

    Args:
        config: Config of the original detector, or its path or bare name.
        checkpoint: File written by :func:`save_deployed`.

    Raises:
        CheckpointError: If the file is not a checkpoint of this detector in deployed form.
        ConfigError: If the config does not exist.
    """
    config = config if isinstance(config, Config) else load_config(config)
    check_checkpoint_path(checkpoint)
    content = load_untrusted(checkpoint)
    meta = content.get('meta', {}) if isinstance(content, dict) else {}
    if not meta.get('deployed'):
        raise CheckpointError(
            f"checkpoint '{checkpoint}' is not deployed; deploy it with epsanet deploy"
        )
    network = deploy(build_without_weights(config.model).eval())
    state = content['state_dict']
    try:
        _split_merged_groups(network, state)
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[:2][-1].strip()
        raise CheckpointError(f"checkpoint '{checkpoint}' is of another detector: {reason}")
    network.dataset_meta = meta.get('dataset_meta')
    return network


def _split_merged_groups(network: nn.Module, state: Dict[str, Tensor]) -> None:
    """Split the groups in weights of earlier versions, which merged the groups of branches."""
    branches = {n: m.convs for n, m in network.named_modules() if isinstance(m, PlainBranches)}
    for name, convs in branches.items():
        for i, conv in enumerate(convs):
            key = f'{name}.convs.{i}.weight'
            if key in state and state[key].dim() == 4:
                merged = conv.in_channels // max(state[key].shape[1], 1)
                if 0 < merged < conv.groups and conv.groups % merged == 0:
                    state[key] = split_groups(state[key], conv.groups, merged)


def greatest_difference(got: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the greatest difference of any output, relative to its greatest value."""
    pairs = zip(got, expected, strict=True)
    return max(float((g - e).abs().max() / e.abs().max()) for g, e in pairs)


def _run_onnx(path: Path, images: Tensor) -> List[Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return [torch.from_numpy(output) for output in session.run(None, {'images': images.numpy()})]
