"""The differences of an exported detector are counted over images."""

import pytest
from exported_differences import compare_in_images
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.deploy import run_deploy


def test_counts_detections_and_finds_none_that_differs(tiny_detector, tmp_path):  # noqa: F811
    pytest.importorskip('onnxruntime', reason='needs the export extra')
    file = str(tmp_path / 'model.onnx')
    run_deploy(*tiny_detector[:2], [file], write=lambda line: None)
    images = sorted(tiny_detector.images.iterdir())
    found = compare_in_images(*tiny_detector[:2], [file], images)[file]
    assert found.expected == found.found == 10 * len(images)
    assert found.common > 0.9 * found.expected
    assert found.pixels < 0.01 and found.score < 1e-4 and found.masks < 1e-3
