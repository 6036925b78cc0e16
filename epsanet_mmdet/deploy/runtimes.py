"""Run exported files with the runtimes they are for."""

from pathlib import Path
from typing import Dict, List, Union

import numpy as np

from ..utils.storage import write_whole


def run_onnx(path: Union[str, Path], inputs: Dict[str, np.ndarray]) -> List[np.ndarray]:
    """Return the outputs of an ONNX file in ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return session.run(None, inputs)


def run_openvino(path: Union[str, Path], inputs: Dict[str, np.ndarray]) -> List[np.ndarray]:
    """Return the outputs of a file in OpenVINO on the CPU, computed in float32."""
    import openvino

    precise = {'INFERENCE_PRECISION_HINT': 'f32'}  # by default it takes bf16 where that is faster
    model = openvino.Core().compile_model(str(path), 'CPU', precise)
    return [np.array(output) for output in model(inputs).values()]


def convert_to_openvino(onnx_file: Union[str, Path], path: Union[str, Path]) -> None:
    """Convert an ONNX file to OpenVINO's two files, ``.xml`` and ``.bin``, in float32.

    The metadata of the ONNX file becomes runtime information under ``framework``.

    Args:
        onnx_file: File to convert.
        path: The ``.xml`` file to write; the ``.bin`` file is written beside it.

    Raises:
        StorageError: If a file cannot be written.
    """
    import openvino

    path, converted = Path(path), Path(onnx_file).with_suffix('.xml')
    openvino.save_model(openvino.Core().read_model(onnx_file), converted, compress_to_fp16=False)
    for suffix in ('.bin', '.xml'):  # the one that users name last
        write_whole(converted.with_suffix(suffix).read_bytes(), path.with_suffix(suffix))
