"""The AP of an exported detector is that of the checkpoint."""

import pytest
from exported_ap import compare_ap
from mmengine.runner import Runner
from tiny_detector import tiny_detector  # noqa: F401
from tiny_training import tiny_training

from epsanet_mmdet.deploy import run_deploy


@pytest.fixture
def trained(tiny_detector, tmp_path):  # noqa: F811
    """Config and checkpoint of a Mask R-CNN that has learned its four pictures."""
    config = tiny_training(tiny_detector, tmp_path)
    Runner.from_cfg(config).train()
    path = tmp_path / 'trained.py'
    config.dump(path)
    return str(path), (tmp_path / 'last_checkpoint').read_text()


@pytest.mark.slow(minutes=2)
def test_box_and_mask_ap_are_the_same_in_onnx_runtime_and_openvino(trained, tmp_path):
    pytest.importorskip('openvino', reason='needs the export extra')
    files = [str(tmp_path / name) for name in ('model.onnx', 'model.xml')]
    run_deploy(*trained, files, write=lambda line: None)
    expected, *others = compare_ap(*trained, files).values()
    assert expected['coco/bbox_mAP'] > 0.5 and expected['coco/segm_mAP'] > 0.5
    for metrics in others:
        assert metrics == pytest.approx(expected, abs=1e-3)
