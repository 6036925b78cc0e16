"""A detector runs only with a checkpoint that fills its whole model and names its classes."""

import pytest
from mmengine.config import Config
from tiny_detector import tiny_detector, write_checkpoint  # noqa: F401

from epsanet_mmdet.errors import CheckpointError
from epsanet_mmdet.inference import Detector


def write_like(tiny, tmp_path, meta=None, **model):
    """Write a checkpoint of the tiny detector with parts of its model changed."""
    config = Config.fromfile(tiny.config)
    config.merge_from_dict({f'model.{key.replace("__", ".")}': v for key, v in model.items()})
    return write_checkpoint(config, tmp_path / 'other.pth', **(meta or {}))


def test_classes_come_from_the_config_if_the_checkpoint_names_none(tiny_detector, tmp_path):  # noqa: F811
    checkpoint = write_like(tiny_detector, tmp_path)
    assert tuple(Detector(tiny_detector.config, checkpoint, 'cpu').classes) == ('disc', 'box')


def test_a_checkpoint_that_does_not_fit_is_refused_in_one_line(tiny_detector, tmp_path):  # noqa: F811
    def error(checkpoint):
        with pytest.raises(CheckpointError) as info:
            Detector(tiny_detector.config, checkpoint, 'cpu')
        assert '\n' not in str(info.value)
        return str(info.value)

    heads = dict(roi_head__bbox_head__num_classes=3, roi_head__mask_head__num_classes=3)
    classes = dict(dataset_meta=dict(classes=('a', 'b', 'c')))
    message = error(write_like(tiny_detector, tmp_path, classes, **heads))
    assert 'detects 2 classes' in message and '3 (a, b, c)' in message
    assert 'unfilled' in error(write_like(tiny_detector, tmp_path, **heads))
    assert 'names 3 (a, b, c)' in error(write_like(tiny_detector, tmp_path, classes))
    resnet = write_like(
        tiny_detector, tmp_path, backbone=dict(_delete_=True, type='ResNet', depth=50)
    )
    assert 'another architecture' in error(resnet)
    plugins = [dict(cfg=dict(type='CoordAttention2d'), position='after_conv3')]
    config = Config.fromfile(tiny_detector.config)
    config.model.backbone.plugins = plugins
    with pytest.raises(CheckpointError, match='leaves .* unfilled, such as backbone.*coord_att'):
        config.dump(tmp_path / 'plugins.py')
        Detector(str(tmp_path / 'plugins.py'), tiny_detector.checkpoint, 'cpu')
    assert 'does not exist' in error('absent.pth')
    (tmp_path / 'torn.pth').write_bytes(b'torn')
    assert 'damaged' in error(str(tmp_path / 'torn.pth'))
