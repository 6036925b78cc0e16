"""A detector keeps its neck, its heads and its classes when its ResNet becomes an EPSANet."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from teacher_files import quiet, teacher_weights

from epsanet_mmdet.checkpoint.weight_files import read_weights
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.errors import ArgumentError
from epsanet_mmdet.inference import Detector
from epsanet_mmdet.weight_transfer import run_transplant
from epsanet_mmdet.weight_transfer.heads import heads_of

CONFIG = 'faster-rcnn_{}_fpn_small-data'
META = dict(dataset_meta=dict(classes=('disc', 'box'), palette=[(1, 2, 3), (4, 5, 6)]))


def build(backbone):
    init_default_scope('mmdet')
    config = load_config(CONFIG.format(backbone))
    config.model.roi_head.bbox_head.num_classes = 2
    return MODELS.build(config.model)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The checkpoint of a Faster R-CNN with ResNet-50."""
    detector = build('resnet50')
    own = {k: v for k, v in teacher_weights().items() if not k.startswith('fc.')}
    detector.backbone.load_state_dict(own, strict=False)
    path = tmp_path_factory.mktemp('trained') / 'detector.pth'
    torch.save(dict(state_dict=detector.state_dict(), meta=META), path)
    return str(path)


@pytest.mark.parametrize(
    ('arch', 'backbone', 'suffix'),
    [('small', 'epsanet50-s', '.pth'), ('large', 'epsanet50-l', '.safetensors')],
)
def test_the_config_of_the_epsanet_loads_the_whole_detector(
    arch, backbone, suffix, trained, tmp_path
):
    out = str(tmp_path / f'new{suffix}')
    options = dict(method='slice', image_size=32, detector=True, progress=quiet)
    result = run_transplant(trained, out, arch, **options)
    assert f'load_from={out}' in str(result)
    two_classes = {'model.roi_head.bbox_head.num_classes': 2}
    detector = Detector(CONFIG.format(backbone), out, 'cpu', two_classes)
    assert tuple(detector.classes) == ('disc', 'box')
    own, theirs = detector.model.state_dict(), torch.load(trained)['state_dict']
    outside = {name for name in theirs if not name.startswith('backbone.')}
    assert outside == {name for name in own if not name.startswith('backbone.')}
    for name in (*outside, 'backbone.conv1.weight'):
        torch.testing.assert_close(own[name], theirs[name])


def test_classes_of_older_checkpoints_are_kept(trained, tmp_path):
    old = dict(torch.load(trained), meta=dict(CLASSES=('a', 'b'), epoch=12, config='model = 1'))
    torch.save(old, tmp_path / 'old.pth')
    path = str(tmp_path / 'old.pth')
    assert heads_of(read_weights(path), path).meta == dict(CLASSES=('a', 'b'))


def test_the_file_to_write_must_be_named(trained):
    with pytest.raises(ArgumentError, match='name the file to write: '):
        run_transplant(trained, detector=True, progress=quiet)
