"""The documented example detects with ONNX Runtime, NumPy and OpenCV alone what mmdet detects."""

import subprocess
import sys

import cv2
import pytest
from conftest import ROOT
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.deploy import run_deploy
from epsanet_mmdet.inference import infer

EXAMPLE = ROOT / 'docs' / 'examples' / 'run_onnx.py'
FORBIDDEN = ('torch', 'mmdet', 'mmengine', 'mmcv', 'epsanet_mmdet')


def test_prints_and_draws_the_detections(tiny_detector, tmp_path):  # noqa: F811
    pytest.importorskip('onnxruntime', reason='needs the export extra')
    model, out = tmp_path / 'model.onnx', tmp_path / 'out.png'
    run_deploy(*tiny_detector[:2], [model], write=lambda line: None)
    picture = cv2.resize(cv2.imread(next(map(str, tiny_detector.images.glob('*.png')))), (150, 90))
    cv2.imwrite(str(tmp_path / 'large.png'), picture)
    script = f'import sys, runpy\nfor name in {FORBIDDEN}: sys.modules[name] = None\n'
    script += f"sys.argv[0] = 'run_onnx.py'\nrunpy.run_path({str(EXAMPLE)!r})"
    result = subprocess.run(
        [sys.executable, '-c', script, str(model), str(tmp_path / 'large.png'), str(out)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    (expected,) = infer([str(tmp_path / 'large.png')], *tiny_detector[:2], score_thr=0.3)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert len(lines) == len(expected.scores) > 0
    for (name, score, *box), label, value, corners in zip(
        lines, expected.class_names, expected.scores, expected.boxes
    ):
        assert name == label
        assert float(score) == pytest.approx(value, abs=2e-3)
        assert [float(x) for x in box] == pytest.approx(corners.tolist(), abs=0.2)
    assert cv2.imread(str(out)).shape == (90, 150, 3)
