"""Annotations and results are loaded for pycocotools, and their faults end in one line."""

import json
from functools import partial

import numpy as np
import pytest
from coco_case import write_case
from one_line import error_line
from pycocotools import mask as coco_mask

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.evaluation.data import load_ground_truth, load_results


@pytest.fixture
def case(tmp_path):
    return write_case(tmp_path)


error = partial(error_line, DataError)


def edit(path, change):
    with open(path) as file:
        content = json.load(file)
    change(content)
    with open(path, 'w') as file:
        json.dump(content, file)


def test_missing_fields_are_filled_in(case):
    def strip(content):
        for annotation in content['annotations']:
            del annotation['area'], annotation['iscrowd']

    edit(case.ann_file, strip)
    gt = load_ground_truth(case.ann_file)
    assert sorted(gt.anns) == [1, 2, 3, 4, 5]
    assert gt.anns[1]['area'] == 400 and gt.anns[1]['iscrowd'] == 0


def test_other_classes_are_left_out(case):
    gt = load_ground_truth(case.ann_file, ['dog'])
    assert list(gt.cats) == [2] and {a['category_id'] for a in gt.anns.values()} == {2}
    assert 'no categories horse' in error(load_ground_truth, case.ann_file, ['horse'])


def test_boxes_and_masks_are_told_apart(case, tmp_path):
    gt = load_ground_truth(case.ann_file)
    boxes, masks = case.results
    assert list(load_results(gt, [boxes])) == ['bbox']
    assert list(load_results(gt, [masks])) == ['segm']
    assert list(load_results(gt, [masks, boxes])) == ['bbox', 'segm']
    edit(masks, lambda entries: [entry.update(bbox=[0, 0, 1, 1]) for entry in entries])
    both = load_results(gt, [boxes, masks])  # mmdet puts boxes beside masks
    assert both['bbox'].anns[1]['bbox'] == [0, 0, 20, 20]
    assert both['segm'].anns[1]['area'] == 400
    assert list(load_results(gt, [masks])) == ['bbox', 'segm']


def test_one_file_may_have_detections_of_both_kinds(case):
    gt = load_ground_truth(case.ann_file)
    boxes, masks = (json.loads(open(path).read()) for path in case.results)
    edit(case.results[0], lambda entries: entries.extend(masks[1:]))
    both = load_results(gt, case.results[:1])
    assert {k: len(c.anns) for k, c in both.items()} == {'bbox': len(boxes), 'segm': len(masks) - 1}


def test_empty_results_are_boxes_or_masks_by_their_file_name(case):
    gt = load_ground_truth(case.ann_file)
    for path in case.results:
        edit(path, list.clear)
    found = load_results(gt, case.results)
    assert {kind: len(coco.anns) for kind, coco in found.items()} == {'bbox': 0, 'segm': 0}


def test_masks_need_masks_in_the_annotations(case):
    edit(case.ann_file, lambda c: [a.update(segmentation=[]) for a in c['annotations']])
    gt = load_ground_truth(case.ann_file)
    assert list(load_results(gt, case.results)) == ['bbox']
    assert 'no masks' in error(load_results, gt, case.results[1:])


def test_bad_annotations_are_named(case, tmp_path):
    assert 'does not exist' in error(load_ground_truth, 'absent.json')
    edit(case.ann_file, lambda c: c['annotations'][1].pop('bbox'))
    assert 'broken entries' in error(load_ground_truth, case.ann_file)
    edit(write_case(tmp_path).ann_file, lambda c: c['images'][1].pop('height'))
    assert "broken entries (KeyError: 'height')" in error(load_ground_truth, case.ann_file)
    (tmp_path / 'a.json').write_text('{')
    assert 'not JSON' in error(load_ground_truth, str(tmp_path / 'a.json'))


@pytest.mark.parametrize(
    'content', ['{', '{"images": []}', '[1]', '[{"image_id": 1}]', '"text"', '7']
)
def test_files_other_than_results_are_refused(case, tmp_path, content):
    path = tmp_path / 'bad.json'
    path.write_text(content)
    assert 'is not COCO results' in error(
        load_results, load_ground_truth(case.ann_file), [str(path)]
    )


def test_results_of_other_images_or_categories_are_refused(case):
    gt = load_ground_truth(case.ann_file)
    edit(case.results[0], lambda entries: entries[0].update(image_id=99))
    assert '1 image_ids that the annotations lack, such as 99' in error(
        load_results, gt, case.results
    )
    edit(case.results[0], lambda entries: entries[0].update(image_id=1, category_id=9))
    assert 'category_ids' in error(load_results, gt, case.results)
    edit(case.results[1], lambda entries: entries[0].update(segmentation={'counts': 'x'}))
    assert 'cannot be read' in error(load_results, gt, case.results[1:])
    assert 'does not exist' in error(load_results, gt, ['absent.json'])


def test_control_characters_do_not_reach_the_terminal(tmp_path):
    case = write_case(tmp_path, names=('\x1b[31mcat', 'dog'))
    assert '\x1b' not in error(load_ground_truth, case.ann_file, ['\x1b[31mabsent'])
    gt = load_ground_truth(case.ann_file)
    edit(case.results[0], lambda entries: entries[0].update(image_id='\x1b[31m'))
    assert '\x1b' not in error(load_results, gt, case.results)


BOMBS = [
    dict(size=[10**6, 10**6], counts=[10**12]),
    dict(size=[48, 64], counts='\x7f~~'),
    dict(size=[1, 1], counts=[0, 10**9]),
    [[1, 2, float('nan'), 4, 5, 6]],
    [['a', 1, 2, 3, 4, 5]],
    'text',
]


@pytest.mark.parametrize('mask', BOMBS, ids=str)
def test_masks_that_would_crash_pycocotools_are_refused(mask, case):
    gt = load_ground_truth(case.ann_file)
    edit(case.results[1], lambda entries: entries[0].update(segmentation=mask))
    assert 'cannot be read' in error(load_results, gt, case.results[1:])
    edit(case.ann_file, lambda c: c['annotations'][0].update(segmentation=mask))
    assert 'cannot be read' in error(load_ground_truth, case.ann_file)


def test_a_detection_may_have_a_mask_without_a_pixel(case):
    gt = load_ground_truth(case.ann_file)
    shape = gt.imgs[1]['height'], gt.imgs[1]['width']
    empty = coco_mask.encode(np.zeros(shape, np.uint8, order='F'))
    empty['counts'] = empty['counts'].decode()
    edit(case.results[1], lambda entries: entries[0].update(image_id=1, segmentation=empty))
    assert load_results(gt, case.results[1:])['segm'].anns[1]['area'] == 0
