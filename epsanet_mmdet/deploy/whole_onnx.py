"""Write a whole detector to one ONNX file."""

import io
import warnings
from pathlib import Path
from typing import Dict, Optional, Sequence, Union

import torch
from torch import nn

from ..utils.storage import write_whole
from .export import OPSET, check_opset, require
from .operators import MIN_OPSET
from .pooling import PoolByProducts
from .whole import INPUTS, WholeDetector

EXAMPLE_SIZE = (160, 192)
DIMENSIONS = {
    'image': {0: 'height', 1: 'width'},
    'boxes': {0: 'detections'},
    'scores': {0: 'detections'},
    'labels': {0: 'detections'},
    'masks': {0: 'detections', 1: 'original_height', 2: 'original_width'},
}


def export_detector(
    detector: nn.Module,
    path: Union[str, Path],
    metadata: Optional[Dict[str, str]] = None,
    opset: int = OPSET,
) -> Sequence[str]:
    """Export a deployed detector to one ONNX file, from the image to boxes, scores and masks.

    This uses torch's exporter by tracing. ``torch.export``, on which the newer one is based, needs
    a bound for each of the many sizes that depend on the image.

    Args:
        detector: Result of :func:`deploy`, on a CPU.
        path: File to write.
        metadata: Entries of the file's ``metadata_props``, see :func:`describe_detector`.
        opset: Version of the ONNX operators, 16 to 20.

    Returns:
        Names of the outputs, see :class:`WholeDetector`.

    Raises:
        ArgumentError: If the detector is not supported, or the opset is too old or too new.
        ExtraError: If the ``export`` extra is not installed.
        StorageError: If the file cannot be written.
    """
    check_opset(opset, MIN_OPSET, 'a whole detector')
    require('onnx')
    import onnx

    whole = WholeDetector(detector).eval()
    noise = torch.Generator().manual_seed(0)
    image = torch.randint(256, (*EXAMPLE_SIZE, 3), dtype=torch.uint8, generator=noise)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad(), PoolByProducts():
        warnings.simplefilter('ignore')  # about Python numbers, which are constants here
        torch.onnx.export(
            whole,
            (image, torch.tensor(EXAMPLE_SIZE)),
            buffer,
            input_names=list(INPUTS),
            output_names=list(whole.output_names),
            dynamic_axes=DIMENSIONS,
            opset_version=opset,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model)
    onnx.helper.set_model_props(model, metadata or {})
    write_whole(model.SerializeToString(), path)
    return whole.output_names
