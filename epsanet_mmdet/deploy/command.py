"""Deploying from the command line: a checkpoint in, deployed files out, each checked."""

from pathlib import Path
from typing import Callable, Dict, List, Sequence, Union

import torch
from mmengine.config import Config
from torch import Tensor, nn

from ..checkpoint import load_untrusted
from ..config.build import build_without_weights
from ..config.load import load_config
from ..errors import ArgumentError, CheckpointError, DifferenceError
from ..inference.detector import Detector, check_checkpoint_path
from ..layers.deployed_psa import PlainBranches
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
    """Deploy a trained detector, and write it to files that are compared with the original.

    Args:
        config: Path or bare name.
        checkpoint: File or URL of the weights.
        out: Files to write; their suffixes, those of :data:`SUFFIXES`, say what.
        backbone: Export only the backbone.
        write: Called with a line on each file.

    Returns:
        For each file the greatest difference of an output on a random image, over that output's
        greatest value.

    Raises:
        ArgumentError: If a suffix is another.
        DifferenceError: If a difference is above :data:`TOLERANCE`.
        UserError: If something is missing, or a file cannot be written.
    """
    paths = [Path(name) for name in out]
    for path in paths:
        if path.suffix not in SUFFIXES:
            kinds = ', '.join(f'{suffix} ({kind})' for suffix, kind in SUFFIXES.items())
            raise ArgumentError(f"'{path}' has none of the suffixes {kinds}")
        if path.suffix == '.onnx':
            require('onnx', 'onnxscript', 'onnxruntime')
        if path.suffix == '.pth' and backbone:
            raise ArgumentError(f"'{path}': checkpoints hold the whole detector")
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
    """Write the checkpoint of a deployed detector, for :func:`load_deployed`.

    Raises:
        StorageError: If it cannot be written.
    """
    meta = dict(deployed=True, epsanet_mmdet=__version__)
    if getattr(detector, 'dataset_meta', None):
        meta['dataset_meta'] = dict(detector.dataset_meta)
    save_whole(dict(meta=meta, state_dict=detector.state_dict()), path)


def load_deployed(config: Union[str, Config], checkpoint: Union[str, Path]) -> nn.Module:
    """Build a deployed detector from its config and the checkpoint that deploying wrote.

    Args:
        config: Path, bare name, or the config itself, of the detector that was deployed.
        checkpoint: File.

    Raises:
        CheckpointError: If it is not the checkpoint of such a deployed detector.
        ConfigError: If there is no such config.
    """
    config = config if isinstance(config, Config) else load_config(config)
    check_checkpoint_path(checkpoint)
    content = load_untrusted(checkpoint)
    meta = content.get('meta', {}) if isinstance(content, dict) else {}
    if not meta.get('deployed'):
        raise CheckpointError(
            f"checkpoint '{checkpoint}' is not a deployed one; make that with tools/deploy.py"
        )
    network = deploy(build_without_weights(config.model).eval())
    state = content['state_dict']
    _split_merged_groups(network, state)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise CheckpointError(f"checkpoint '{checkpoint}' is of another detector: {reason}")
    network.dataset_meta = meta.get('dataset_meta')
    return network


def _split_merged_groups(network: nn.Module, state: Dict[str, Tensor]) -> None:
    """Rewrite what versions wrote that merged the groups of branches on deploying."""
    for name, module in network.named_modules():
        if isinstance(module, PlainBranches):
            keys = [f'{name}.convs.{i}.weight' for i in range(len(module.convs))]
            if all(key in state and state[key].dim() == 4 for key in keys):
                state.update(zip(keys, module.with_own_groups([state[key] for key in keys])))


def greatest_difference(got: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Give the greatest difference of any output, over that output's greatest value."""
    pairs = zip(got, expected, strict=True)
    return max(float((g - e).abs().max() / e.abs().max()) for g, e in pairs)


def _run_onnx(path: Path, images: Tensor) -> List[Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return [torch.from_numpy(output) for output in session.run(None, {'images': images.numpy()})]
