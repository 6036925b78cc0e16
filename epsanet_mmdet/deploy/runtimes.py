"""Run exported files with the runtimes they are for."""

from pathlib import Path
from typing import Callable, Dict, List, Union

import numpy as np

from ..utils.storage import write_whole

Run = Callable[[Dict[str, np.ndarray]], List[np.ndarray]]  # from the inputs by name to the outputs


def load_exported(path: Union[str, Path]) -> Run:
    """Return a function that runs an ONNX file in ONNX Runtime, or an ``.xml`` file in OpenVINO.

    Both run on the CPU and compute in float32.
    """
    if Path(path).suffix == '.xml':
        import openvino

        precise = {'INFERENCE_PRECISION_HINT': 'f32'}  # by default, bf16 where that is faster
        model = openvino.Core().compile_model(str(path), 'CPU', precise)
        return lambda inputs: [np.array(output) for output in model(inputs).values()]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return lambda inputs: session.run(None, inputs)


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
