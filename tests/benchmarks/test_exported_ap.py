"""The AP of an exported detector is that of the checkpoint."""

import pytest
from exported_ap import compare_ap
from mmengine.config import Config
from mmengine.runner import Runner
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.config.data import set_image_scale
from epsanet_mmdet.deploy import run_deploy

TRAINING = """
_base_ = {base!r}
model = dict(backbone=dict(norm_cfg=dict(type='GN', num_groups=16, requires_grad=True)))
train_dataloader = dict(
    batch_size=4, sampler=dict(type='InfiniteSampler', _delete_=True), batch_sampler=None
)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=60, val_interval=1000, _delete_=True)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.0),
    clip_grad=dict(max_norm=10),
    _delete_=True,
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=10),
    dict(type='MultiStepLR', by_epoch=False, milestones=[50], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=60), logger=dict(interval=30))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
"""


@pytest.fixture
def trained(tiny_detector, tmp_path):  # noqa: F811
    """Config and checkpoint of a Mask R-CNN that has learned its four pictures."""
    path = tmp_path / 'trained.py'
    path.write_text(TRAINING.format(base=tiny_detector.config))
    config = Config.fromfile(path)
    set_image_scale(config, (96, 64))
    config.work_dir = str(tmp_path / 'run')
    Runner.from_cfg(config).train()
    return str(path), str(tmp_path / 'run' / 'iter_60.pth')


@pytest.mark.slow(minutes=2)
def test_box_and_mask_ap_are_the_same_in_onnx_runtime_and_openvino(trained, tmp_path):
    pytest.importorskip('openvino', reason='needs the export extra')
    files = [str(tmp_path / name) for name in ('model.onnx', 'model.xml')]
    run_deploy(*trained, files, write=lambda line: None)
    expected, *others = compare_ap(*trained, files).values()
    assert expected['coco/bbox_mAP'] > 0.1 and expected['coco/segm_mAP'] > 0.1
    for metrics in others:
        assert metrics == pytest.approx(expected, abs=1e-3)
