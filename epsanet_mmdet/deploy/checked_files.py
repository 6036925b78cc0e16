"""Exported files, each compared with the network it is from."""

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..datasets.shapes import draw_scene
from ..errors import DataError
from ..inference.detector import Detector
from ..utils.images import load_image
from ..utils.storage import save_whole
from .agreement import arrays, compare_detections
from .export import RawOutputs, export_onnx, export_program
from .metadata import describe_detector
from .runtimes import convert_to_openvino, load_exported
from .selection import final_options
from .whole_onnx import export_detector

TOLERANCE = 1e-4  # of the greatest value of a map
DETECTION_TOLERANCE = 1e-3  # of scores, of the side of the image and of its pixels
CHECK_SIZE = (1, 3, 320, 416)
PICTURE_SIZE = 640


class Checked(NamedTuple):
    """The greatest relative difference of a file, its limit, and what was compared, in words."""

    difference: float
    limit: float
    compared: str = ''


class DenseFiles:
    """Files with the maps of a backbone, or the dense outputs of a detector.

    Args:
        original: Trained network.
        network: The same one, deployed.
        opset: Version of the ONNX operators.
    """

    def __init__(self, original: nn.Module, network: nn.Module, opset: int) -> None:
        self.network = network
        self.opset = opset
        self.images = torch.randn(CHECK_SIZE, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            self.expected = RawOutputs(original.eval())(self.images)

    def write(self, path: Path) -> Checked:
        """Write a file, in the format of its suffix."""
        if path.suffix == '.pt2':
            program = export_program(self.network)
            save_whole(program, path, torch.export.save)
            return self.check(program.module()(self.images))

        def export(file):
            return export_onnx(self.network, file, self.opset)

        outputs = write_and_run(path, export, dict(images=self.images.numpy()))
        return self.check([torch.from_numpy(output) for output in outputs])

    def check(self, outputs: Sequence[Tensor]) -> Checked:
        """Compare outputs for the check images with those of the original."""
        return Checked(greatest_difference(outputs, self.expected), TOLERANCE)


class WholeFiles:
    """Files with a whole detector.

    Args:
        detector: Trained detector.
        network: Its model, deployed.
        opset: Version of the ONNX operators.
        image: Image (H, W, 3) to compare the detections in.
    """

    def __init__(
        self, detector: Detector, network: nn.Module, opset: int, image: np.ndarray
    ) -> None:
        self.detector = detector
        self.network = network
        self.opset = opset
        self.metadata = describe_detector(detector)
        self.image = image

    @cached_property
    def prepared(self) -> dict:
        """The image after mmdet's test pipeline."""
        return self.detector.pipeline(dict(img=self.image, img_id=0))

    @cached_property
    def expected(self) -> List[np.ndarray]:
        (sample,) = self.detector.forward(self.detector.collate_fn([self.prepared]))
        return arrays(sample.pred_instances)

    def write(self, path: Path) -> Checked:
        """Write a file, in the format of its suffix."""
        size = self.image.shape[:2]
        inputs = dict(
            image=self.prepared['inputs'].permute(1, 2, 0).contiguous().numpy(),
            original_size=np.array(size),
        )

        def export(file):
            return export_detector(self.network, file, self.metadata, self.opset)

        outputs = write_and_run(path, export, inputs)
        scores, options = self.expected[1], final_options(self.detector.model)
        is_full = len(scores) == options.max_per_img
        floor = float(scores.min()) if is_full else options.get('score_thr', 0)
        difference, common = compare_detections(outputs, self.expected, size, floor)
        count = len(scores)
        compared = f' in {count if common == count else f"{common} of {count}"} detections'
        if not count:
            compared += '; compare again with --image and an image with objects'
        return Checked(difference, DETECTION_TOLERANCE, compared)


def write_and_run(
    path: Path, export: Callable[[Path], object], inputs: Dict[str, np.ndarray]
) -> List[np.ndarray]:
    """Write an ONNX or OpenVINO file, and return its outputs in that runtime.

    Args:
        path: File to write, with the suffix ``.onnx`` or ``.xml``.
        export: Function that writes an ONNX file.
        inputs: Inputs by name.
    """
    if path.suffix == '.onnx':
        export(path)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, 'model.onnx')
            export(file)
            convert_to_openvino(file, path)
    return load_exported(path)(inputs)


def check_picture(path: Optional[str]) -> np.ndarray:
    """Return the image in a file, or a generated picture of shapes if there is none.

    Raises:
        DataError: If the file cannot be read.
    """
    if path is None:
        return draw_scene(PICTURE_SIZE, np.random.default_rng(0))[0]
    try:
        return load_image(path)
    except DataError as error:
        raise DataError(f"image '{path}' cannot be used: {error}; name another with --image")


def greatest_difference(got: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the greatest difference of any output, relative to its greatest value."""
    pairs = zip(got, expected, strict=True)
    return float(np.max([float((g - e).abs().max() / e.abs().max()) for g, e in pairs]))  # or NaN
