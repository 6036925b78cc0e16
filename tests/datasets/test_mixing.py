"""Mixed images have their boxes and masks where their objects are."""

import copy

import numpy as np
import pytest
from browsing import (
    ANNOTATIONS,
    DOUBLED,
    IMAGE,
    PACKED,
    built,
    coco_source,
    samples_of,
    share_of_colour,
)
from mmdet.registry import TRANSFORMS
from small_data import write_coco

from epsanet_mmdet.engine.seeding import DATA, IterationSeeds

FLIP = dict(type='RandomFlip', prob=0.5)
CLEAN = dict(type='FilterAnnotations', min_gt_bbox_wh=(5, 5), keep_empty=False)
BOXES = dict(type='LoadAnnotations', with_bbox=True)
PAD = dict(type='Pad', size=(140, 140))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp('mixed'), 8)


def mixed(root, load, mix):
    return dict(
        type='MultiImageMixDataset', dataset=coco_source(root, load), pipeline=[*mix, CLEAN, PACKED]
    )


def mosaics(root, annotations=ANNOTATIONS, prob=1.0, **choices):
    mosaic = dict(type='InstanceMosaic', size=140, prob=prob)
    rows = samples_of(mixed(root, [IMAGE, annotations, DOUBLED, FLIP], [mosaic]), **choices)
    return [sample for row in rows for sample in row]


@pytest.mark.parametrize('annotations', [ANNOTATIONS, BOXES], ids=['masks', 'boxes'])
def test_objects_of_a_mosaic_are_in_their_boxes_and_masks(annotations, root):
    samples = mosaics(root, annotations, count=8, repeats=3)
    assert {sample.image.shape for sample in samples} == {(140, 140, 3)}
    shares = [share_of_colour(s, i) for s in samples for i in range(len(s.boxes))]
    shares = [share for share in shares if share is not None]
    assert len(shares) > 60 and min(shares) > 0.9  # pixels at the edges of objects are blurred
    assert any(len(sample.boxes) > 2 for sample in samples)
    assert all((sample.masks is None) == (annotations is BOXES) for sample in samples)


def test_masks_of_a_mosaic_fill_its_boxes(root):
    for sample in mosaics(root):
        for (left, top, right, bottom), mask in zip(sample.boxes.round().astype(int), sample.masks):
            assert mask.sum() == mask[top:bottom, left:right].sum()
            assert mask.sum() >= 0.9 * (right - left) * (bottom - top)


def test_no_object_in_sight_is_left_out(root):
    """Pixels of the objects' colours are in some box."""
    for sample in mosaics(root, repeats=2):
        left = sample.image.astype(int)
        for x1, y1, x2, y2 in sample.boxes.round().astype(int):
            left[max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = 114
        red, blue = left[..., 2] - left[..., 1], left[..., 0] - left[..., 1]
        assert (np.maximum(red, blue) > 130).sum() < 40 * 5  # slivers that were dropped


def test_images_stay_alone_with_the_probability_that_is_left(root):
    assert {sample.image.shape for sample in mosaics(root, prob=0.0)} == {(96, 128, 3)}
    shapes = [sample.image.shape for sample in mosaics(root, prob=0.5, count=8, repeats=8)]
    assert 16 < shapes.count((140, 140, 3)) < 48


def test_a_mosaic_depends_on_the_seed_alone(root):
    dataset = built(mixed(root, [IMAGE, ANNOTATIONS], [dict(type='InstanceMosaic', size=90)]))
    seen = []
    for number in (1, 2, 1):
        IterationSeeds(0, 0).start(DATA, number)
        seen.append(dataset[3]['inputs'].numpy())
    assert (seen[0] == seen[2]).all() and (seen[0] != seen[1]).any()


def test_crowds_stay_ignored(root):
    source = built(coco_source(root, [IMAGE, ANNOTATIONS]))
    parts = [source[i] for i in range(4)]
    for part in parts:
        part['gt_ignore_flags'][:] = part['gt_bboxes_labels'] == 0
    mosaic = TRANSFORMS.build(dict(type='InstanceMosaic', size=200))
    results = mosaic(dict(parts[0], mix_results=parts[1:]))
    assert (results['gt_ignore_flags'] == (results['gt_bboxes_labels'] == 0)).all()
    assert len(results['gt_masks']) == len(results['gt_bboxes']) == 8


def test_images_without_objects_can_be_mixed(root):
    source = built(coco_source(root, [IMAGE, ANNOTATIONS]))
    parts = [copy.deepcopy(source[i]) for i in range(4)]
    for part in parts:
        for name in ('gt_bboxes', 'gt_bboxes_labels', 'gt_masks', 'gt_ignore_flags'):
            part[name] = part[name][:0] if name != 'gt_masks' else part[name][np.zeros(0, int)]
    results = TRANSFORMS.build(dict(type='InstanceMosaic', size=80))(
        dict(parts[0], mix_results=parts[1:])
    )
    assert len(results['gt_bboxes']) == len(results['gt_masks']) == 0


def test_copied_objects_are_in_their_masks(root):
    load = [IMAGE, ANNOTATIONS, DOUBLED, FLIP, PAD]
    rows = samples_of(mixed(root, load, [dict(type='ByteCopyPaste')]), count=8, repeats=4)
    samples = [sample for row in rows for sample in row]
    shares = [share_of_colour(s, i) for s in samples for i in range(len(s.boxes))]
    assert min(share for share in shares if share is not None) > 0.85
    assert max(len(sample.boxes) for sample in samples) > 2


def test_copy_paste_is_that_of_mmdet_in_bytes(root):
    source = built(coco_source(root, [IMAGE, ANNOTATIONS]))
    found = []
    for name in ('CopyPaste', 'ByteCopyPaste'):
        np.random.seed(3)
        parts = [copy.deepcopy(source[i]) for i in range(2)]
        found.append(TRANSFORMS.build(dict(type=name))(dict(parts[0], mix_results=parts[1:])))
    assert found[1]['img'].dtype == np.uint8 != found[0]['img'].dtype
    assert (found[0]['img'] == found[1]['img']).all()
    assert (found[0]['gt_masks'].masks == found[1]['gt_masks'].masks).all()
