"""Export deployed networks for other runtimes."""

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Dict, Sequence, Tuple, Union

import torch
from torch import Tensor, nn

from ..errors import ArgumentError, ExtraError
from ..utils.storage import write_whole

OPSET = 18
MIN_OPSET = 18  # the lowest that torch's exporter writes without conversion
MAX_OPSET = 20  # the highest that its exporter by tracing writes
# Even at stride 128, the maps are more than one position wide, because torch.export treats a side
# of 1 as a constant.
EXAMPLE_SIZE = (2, 3, 160, 288)
DYNAMIC = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}


class RawOutputs(nn.Module):
    """The maps of a backbone, or the dense outputs of a detector before it selects boxes.

    For a one-stage detector such as RetinaNet, these are the outputs of its head at each level. For
    a two-stage detector such as Mask R-CNN, they are the maps of its neck and the outputs of the
    RPN head. The rest depends on the number of detected boxes and stays in mmdet.

    Args:
        network: Backbone or detector of mmdet.

    Shape:
        Normalised images (B, 3, H, W) -> maps, named by :attr:`names`.

    Raises:
        ArgumentError: If the outputs cannot be computed from maps alone.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        two_stage = hasattr(network, 'rpn_head')
        self.head = network.rpn_head if two_stage else getattr(network, 'bbox_head', None)
        self.keeps_features = two_stage or self.head is None
        try:
            with torch.no_grad():
                self.names = list(self._named(_example(network)))
        except (TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = f'{type(error).__name__}: {error}'.splitlines()[0]
            raise ArgumentError(
                f'{type(network).__name__} has no dense head that can be exported ({reason}); '
                'export its backbone'
            )

    def forward(self, images: Tensor) -> Tuple[Tensor, ...]:
        return tuple(self._named(images).values())

    def _named(self, images: Tensor) -> Dict[str, Tensor]:
        is_detector = hasattr(self.network, 'extract_feat')
        maps = self.network.extract_feat(images) if is_detector else self.network(images)
        named = {}
        if self.keeps_features:
            named.update({f'feature_{i}': m for i, m in enumerate(maps)})
        if self.head is not None:
            kinds = ('cls_score', 'bbox_pred', 'centerness')
            outputs = self.head(maps)
            for kind, levels in zip(kinds[: len(outputs)], outputs, strict=True):
                named.update({f'{kind}_{i}': m for i, m in enumerate(levels)})
        return named


def export_program(network: nn.Module) -> torch.export.ExportedProgram:
    """Export a deployed network with ``torch.export``, for any batch size, height and width.

    Args:
        network: Result of :func:`deploy`.

    Returns:
        Program of :class:`RawOutputs`.
    """
    raw = RawOutputs(network).eval()
    with torch.no_grad():
        return torch.export.export(raw, (_example(network),), dynamic_shapes=(DYNAMIC,))


def export_onnx(network: nn.Module, path: Union[str, Path], opset: int = OPSET) -> Sequence[str]:
    """Export a deployed network to an ONNX file, for any batch size, height and width.

    Args:
        network: Result of :func:`deploy`, on a CPU.
        path: File to write.
        opset: Version of the ONNX operators, 18 to 20.

    Returns:
        Names of the outputs, see :class:`RawOutputs`. The input is named ``images``.

    Raises:
        ArgumentError: If the opset is too old or too new.
        ExtraError: If the ``export`` extra is not installed.
        StorageError: If the file cannot be written.
    """
    check_opset(opset, MIN_OPSET, 'dense outputs')
    require('onnx', 'onnxscript')
    raw = RawOutputs(network).eval()
    with torch.no_grad():
        program = torch.onnx.export(
            raw,
            (_example(network),),
            input_names=['images'],
            output_names=raw.names,
            opset_version=opset,
            dynamo=True,
            dynamic_shapes=(DYNAMIC,),
            verbose=False,
        )
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, 'model.onnx')
        program.save(file, external_data=False)
        write_whole(Path(file).read_bytes(), path)
    return raw.names


def check_opset(opset: int, lowest: int, what: str) -> None:
    """Raise ArgumentError if a version of the ONNX operators is too old or too new."""
    if not lowest <= opset <= MAX_OPSET:
        raise ArgumentError(
            f'opset {opset} cannot express {what}; use one from {lowest} to {MAX_OPSET}'
        )


def require(*packages: str) -> None:
    """Raise an ExtraError, which names the extra to install, if a package is missing."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ExtraError(
                f"{package} is not installed; run: pip install 'epsanet_mmdet[export]'"
            )


def _example(network: nn.Module) -> Tensor:
    parameter = next(network.parameters())
    return torch.zeros(EXAMPLE_SIZE, dtype=parameter.dtype, device=parameter.device)
