"""Annotations that would stop or spoil a training are named, or left out if that is chosen."""

import pytest
from PIL import Image
from rotten_data import edit, edited, logged, settings, write_sound

from epsanet_mmdet.datasets import CheckedCocoDataset
from epsanet_mmdet.errors import DataError

COUNT = 4


@pytest.fixture
def root(tmp_path):
    return write_sound(tmp_path, COUNT)


# Of masks that would crash pycocotools, test_segmentation.py has more.
FAULTS = {
    'box of text': dict(bbox='x'),
    'box of three': dict(bbox=[1, 2, 3]),
    'box not finite': dict(bbox=[1, 2, float('inf'), 3]),
    'box beyond numbers': dict(bbox=[1, 2, 10**309, 3]),
    'unknown category': dict(category_id=7),
    'crowd of text': dict(iscrowd='no'),
    'area missing': dict(area=None),
    'area not finite': dict(area=float('nan')),
    'polygon without its list': dict(segmentation=[1, 2, 3, 4, 5, 6]),
    'mask of text': dict(segmentation='mask'),
    'no mask where masks are loaded': dict(segmentation=[]),
    'run lengths backwards': dict(segmentation=dict(size=[24, 32], counts=[800, -32])),
    'run lengths without counts': dict(segmentation=dict(size=[24, 32])),
}


@pytest.mark.parametrize('name', FAULTS)
def test_a_bad_annotation_stops_or_is_left_out(name, root):
    edit(root, **FAULTS[name])
    with pytest.raises(DataError, match='annotation 1 of 000.jpg'):
        CheckedCocoDataset(**settings(root))
    dataset = CheckedCocoDataset(**settings(root, skip_bad_images=True))
    assert len(dataset[0]['data_samples'].gt_instances) == 1
    assert len(dataset.skipped.annotations) == 1


@pytest.mark.parametrize('box', [[5, 5, 0, 9], [5, 5, 9, 0], [99, 5, 9, 9], [5, 5, -4, 4]], ids=str)
def test_degenerate_boxes_are_left_out_with_a_warning_as_coco_has_some(box, root):
    edit(root, bbox=box)
    with logged() as messages:
        dataset = CheckedCocoDataset(**settings(root))
    assert len(dataset.get_data_info(0)['instances']) == 1
    assert len(dataset.skipped.annotations) == 1 and not dataset.skipped.harmful
    assert any('annotation 1 of 000.jpg' in message for message in messages)


def test_masks_of_another_size_than_the_file_stop(root):
    edit(root, segmentation=dict(size=[24, 32], counts=[0, 768]))
    Image.new('RGB', (16, 12)).save(root / 'images' / '000.jpg')
    with pytest.raises(DataError, match='000.jpg .is 16x12, but its masks are for 32x24'):
        CheckedCocoDataset(**settings(root))


@pytest.mark.parametrize('size', [(0, 24), (32, -1), (float('nan'), 24), ('32', 24), (None, 24)])
def test_an_image_without_a_usable_size_stops_or_is_left_out(size, root):
    with edited(root) as content:
        content['images'][0].update(width=size[0], height=size[1])
    with pytest.raises(DataError, match='000.jpg'):
        CheckedCocoDataset(**settings(root))
    assert len(CheckedCocoDataset(**settings(root, skip_bad_images=True))) == COUNT - 1
