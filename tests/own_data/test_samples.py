"""Samples have the images, boxes, masks and classes that a pipeline returns, where objects are."""

import json

import numpy as np
import pytest
import torch
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
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from one_line import error_line
from small_data import CLASSES, HEIGHT, WIDTH, write_coco, write_json

from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.own_data.browse.samples import read_sample

MOSAIC = [
    dict(type='Mosaic', img_scale=(96, 96), pad_val=114.0),
    dict(type='RandomAffine', max_rotate_degree=0, max_shear_degree=0, border=(-48, -48)),
]
LOADED = [IMAGE, ANNOTATIONS]
FLIPPED = dict(type='RandomFlip', prob=0.5)
PIPELINES = {
    'flip': [*LOADED, DOUBLED, dict(type='RandomFlip', prob=[0.3, 0.3, 0.3], direction=[
        'horizontal', 'vertical', 'diagonal']), PACKED],
    'crop': [*LOADED, dict(type='RandomCrop', crop_size=(40, 40)), FLIPPED, PACKED],
    'scales': [*LOADED, dict(type='RandomChoiceResize', scales=[(40, 30), (200, 150)]), PACKED],
    'boxes': [IMAGE, dict(type='LoadAnnotations', with_bbox=True), DOUBLED, FLIPPED, PACKED],
}  # fmt: skip
MIXED = {'mosaic': [*MOSAIC, FLIPPED, PACKED], 'copy-paste': [dict(type='CopyPaste'), PACKED]}


@pytest.fixture(scope='module')
def rectangles(tmp_path_factory):
    """Six images with an object of each class."""
    return write_coco(tmp_path_factory.mktemp('rectangles'))


def train_source(root, name):
    if name in PIPELINES:
        return coco_source(root, PIPELINES[name])
    boxes = dict(type='LoadAnnotations', with_bbox=True)
    inner = LOADED if name == 'copy-paste' else [IMAGE, boxes]
    return dict(type='MultiImageMixDataset', dataset=coco_source(root, inner), pipeline=MIXED[name])


@pytest.mark.parametrize('name', [*PIPELINES, *MIXED])
def test_objects_are_where_the_image_shows_their_class(name, rectangles):
    rows = samples_of(train_source(rectangles, name), repeats=5)
    found = [share_of_colour(s, i) for row in rows for s in row for i in range(len(s.labels))]
    shares = [share for share in found if share is not None]
    assert len(shares) > 20 and np.mean(shares) > 0.9
    sizes = {s.image.shape for row in rows for s in row}
    assert sizes == {
        'crop': {(40, 40, 3)},
        'scales': {(30, 40, 3), (150, 200, 3)},
        'mosaic': {(96, 96, 3)},
        'copy-paste': {(HEIGHT, WIDTH, 3)},
    }.get(name, {(2 * HEIGHT, 2 * WIDTH, 3)})


def test_boxes_and_masks_are_the_annotations_resized_and_flipped(rectangles):
    flip = dict(type='RandomFlip', prob=1.0, direction='horizontal')
    rows = samples_of(coco_source(rectangles, [*LOADED, DOUBLED, flip, PACKED]))
    content = json.loads((rectangles / 'annotations' / 'train.json').read_text(encoding='utf-8'))
    numbers = {image['file_name']: image['id'] for image in content['images']}
    assert {sample.name for (sample,) in rows} == set(numbers)
    for (sample,) in rows:
        wanted = [a for a in content['annotations'] if a['image_id'] == numbers[sample.name]]
        assert sample.names == [CLASSES[a['category_id'] - 1] for a in wanted]
        for box, mask, annotation in zip(sample.boxes, sample.masks, wanted):
            x, y, w, h = (2 * value for value in annotation['bbox'])
            left = 2 * WIDTH - x - w
            np.testing.assert_allclose(box, [left, y, left + w, y + h], atol=1e-4)
            area = np.zeros_like(mask)
            area[int(y) : int(y + h), int(left) : int(left + w)] = True
            assert (mask & area).sum() > 0.95 * (mask | area).sum()


def test_samples_are_those_of_the_data_set_itself(rectangles):
    source = coco_source(rectangles, [*LOADED, DOUBLED, PACKED])
    dataset = built(source)
    wanted = {
        packed['data_samples'].img_path.rpartition('/')[2]: packed
        for packed in map(dataset.__getitem__, range(len(dataset)))
    }
    for (sample,) in samples_of(source):
        packed = wanted[sample.name]
        objects = packed['data_samples'].gt_instances
        np.testing.assert_array_equal(sample.image, packed['inputs'].numpy().transpose(1, 2, 0))
        np.testing.assert_array_equal(sample.boxes, get_box_tensor(objects.bboxes))
        np.testing.assert_array_equal(sample.labels, objects.labels)
        np.testing.assert_array_equal(sample.masks, objects.masks.to_ndarray() > 0)


@pytest.mark.parametrize('split', ['val', 'test'])
def test_annotations_of_test_pipelines_are_resized_with_the_image(split, rectangles):
    pipeline = [IMAGE, DOUBLED, ANNOTATIONS, PACKED]
    source = coco_source(rectangles, pipeline, test_mode=True)
    for (sample,) in samples_of(dict(type='ConcatDataset', datasets=[source, source]), split):
        assert sample.image.shape == (2 * HEIGHT, 2 * WIDTH, 3)
        assert min(share_of_colour(sample, i) for i in range(len(sample.labels))) > 0.9


def test_an_augmentation_depends_on_seed_image_and_its_number_alone(rectangles):
    source = coco_source(rectangles, PIPELINES['crop'])

    def drawn(**choices):
        return {s.name: [a.image.tobytes() for a in row] for row in samples_of(source, **choices)
                for s in row}  # fmt: skip

    few, many = drawn(count=3, repeats=2), drawn(count=6, repeats=4)
    assert len(few) == 3 and all(many[name][:2] == images for name, images in few.items())
    assert any(len(set(images)) > 1 for images in many.values())
    assert drawn(seed=1, repeats=2) != drawn(repeats=2) == drawn(repeats=2)


def test_crowds_are_ignored_objects(tmp_path):
    path = write_coco(tmp_path, 2) / 'annotations' / 'train.json'
    content = json.loads(path.read_text(encoding='utf-8'))
    content['annotations'][0]['iscrowd'] = 1
    write_json(path, content)
    rows = samples_of(coco_source(tmp_path, [*LOADED, PACKED]))
    crowds = [text for (s,) in rows for text, hidden in zip(s.texts, s.ignored) if hidden]
    assert crowds == [f'{CLASSES[0]} (ignored)']
    assert sum(len(s.masks) for (s,) in rows) == sum(len(s.boxes) for (s,) in rows) == 4


@pytest.mark.parametrize(
    'image, change',
    [
        (dict(IMAGE, color_type='grayscale'), None),
        (dict(IMAGE, to_float32=True), None),
        (IMAGE, dict(type='PhotoMetricDistortion')),
    ],
    ids=['grey', 'float', 'distorted'],
)
def test_images_of_other_types_are_shown(image, change, rectangles):
    pipeline = [image, ANNOTATIONS, *([change] if change else []), PACKED]
    for (sample,) in samples_of(coco_source(rectangles, pipeline)):
        assert (sample.image.dtype, sample.image.shape) == (np.uint8, (HEIGHT, WIDTH, 3))
        assert sample.image.std() > 5


def test_values_outside_the_range_of_an_image_are_clipped():
    objects = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0))
    packed = dict(inputs=torch.tensor([-20.0, 99.6, 300.0]).reshape(3, 1, 1))
    packed['data_samples'] = DetDataSample(gt_instances=objects)
    sample = read_sample(packed, CLASSES, 'image 3')
    assert (sample.image.tolist(), sample.name) == ([[[0, 100, 255]]], 'image 3')


def test_an_image_without_objects_is_a_sample(tmp_path):
    path = write_coco(tmp_path, 2) / 'annotations' / 'train.json'
    content = json.loads(path.read_text(encoding='utf-8'))
    write_json(path, {**content, 'annotations': []})
    for (sample,) in samples_of(coco_source(tmp_path, [*LOADED, PACKED])):
        assert sample.boxes.shape == (0, 4) and sample.masks.shape == (0, HEIGHT, WIDTH)
        assert sample.caption == f'{sample.name}, {WIDTH}x{HEIGHT}: no objects'


@pytest.mark.parametrize(
    'pipeline, reason',
    [
        ([IMAGE, PACKED], 'loads no boxes; add dict'),
        ([IMAGE, ANNOTATIONS], "end it with dict(type='PackDetInputs')"),
        ([IMAGE, DOUBLED, ANNOTATIONS, PACKED], 'load annotations before it is resized'),
    ],
)
def test_a_pipeline_that_cannot_be_shown_is_an_error(pipeline, reason, rectangles):
    assert reason in error_line(ConfigError, samples_of, coco_source(rectangles, pipeline))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_a_split_without_data_is_an_error(split):
    assert f'no {split}_dataloader' in error_line(ConfigError, samples_of, {}, split)
