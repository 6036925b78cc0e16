"""The heads that predict classes are found, and have as many classes as the data set."""

import pytest

from epsanet_mmdet.config.class_heads import check_class_heads, find_class_heads
from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.errors import ConfigError

HEADS = {
    'mask-rcnn': ['model.roi_head.bbox_head', 'model.roi_head.mask_head'],
    'faster-rcnn': ['model.roi_head.bbox_head'],
    'retinanet': ['model.bbox_head'],
}


@pytest.fixture(params=HEADS)
def detector(request):
    return request.param


def test_the_heads_that_predict_classes_are_found(detector):
    heads = find_class_heads(load_config(f'{detector}_epsanet50-s_fpn_1x_coco').model)
    assert heads == dict.fromkeys(HEADS[detector], 80)


def test_a_head_with_another_number_of_classes_is_named(detector):
    model = load_config(f'{detector}_epsanet50-s_fpn_1x_coco').model
    check_class_heads(model, dict(type='CheckedCocoDataset'))  # COCO's classes by default
    head = HEADS[detector][0]
    with pytest.raises(ConfigError, match=rf'^{head}.num_classes is 80.*2 classes .cat, dog.'):
        check_class_heads(model, dict(metainfo=dict(classes=('cat', 'dog'))))


def test_a_cascade_has_several_heads():
    stages = [dict(type='Shared2FCBBoxHead', num_classes=n) for n in (3, 3, 4)]
    model = dict(rpn_head=dict(num_classes=1), roi_head=dict(bbox_head=stages))
    found = {f'model.roi_head.bbox_head.{i}': n for i, n in enumerate((3, 3, 4))}
    assert find_class_heads(model) == found
    with pytest.raises(ConfigError, match=r'bbox_head\.2\.num_classes is 4'):
        check_class_heads(model, dict(metainfo=dict(classes=('a', 'b', 'c'))))


def test_classes_that_are_a_text_are_refused():
    with pytest.raises(ConfigError, match=r"to a tuple such as \('ball',\)"):
        check_class_heads({}, dict(metainfo=dict(classes='ball')))
