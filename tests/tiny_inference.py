"""The tiny detector, loaded once for all tests of inference."""

import pytest
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.inference import Detector, infer_to_folder


@pytest.fixture(scope='session', name='detector')
def load_detector(tiny_detector):  # noqa: F811
    return Detector(tiny_detector.config, tiny_detector.checkpoint, 'cpu')


@pytest.fixture(name='infer_tiny')
def reuse_detector(tiny_detector, detector, monkeypatch):  # noqa: F811
    """Return ``infer_to_folder`` with the detector already loaded."""
    monkeypatch.setattr('epsanet_mmdet.inference.run.Detector', lambda *_: detector)

    def run(inputs, out_dir, **options):
        options = {'score_thr': 0.1, **options}
        return infer_to_folder(
            inputs, tiny_detector.config, tiny_detector.checkpoint, str(out_dir), **options
        )

    return run
