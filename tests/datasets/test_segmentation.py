"""Masks that would crash pycocotools or exhaust memory are refused before it sees them.

pycocotools lists every fifth of a pixel along an outline and trusts counts and sizes. Each attack
runs in a process whose memory is limited, as it crashes or exhausts a process that fails.
"""

import contextlib
import functools
import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from limited_memory import run_limited
from PIL import Image
from pycocotools import mask as coco_mask
from tiny_detector import tiny_detector  # noqa: F401
from tool_process import run_tool

from epsanet_mmdet.datasets import CheckedCocoDataset
from epsanet_mmdet.datasets.segmentation import (
    area_of,
    box_of,
    outline_fault,
    rle_fault,
    rle_runs,
)
from epsanet_mmdet.errors import DataError
from epsanet_mmdet.evaluation.data import load_ground_truth, load_results
from epsanet_mmdet.evaluation.metrics import evaluate
from epsanet_mmdet.own_data.check import run_check
from epsanet_mmdet.own_data.lint import check_dataset

WIDTH, HEIGHT = 64, 48
GOOD = [[4, 4, 40, 4, 40, 30, 4, 30]]


def zigzag(points: int) -> list:
    """Return a polygon inside the image whose outline runs across it again and again."""
    corners = np.tile([1.0, 1.0, WIDTH - 1.0, HEIGHT - 1.0], points // 2)
    corners[1::4] += np.linspace(0, 9, points // 2).round(3)
    return corners.tolist()


def run_length(height, width, counts) -> dict:
    return dict(size=[height, width], counts=counts)


ATTACKS = {
    'a coordinate of 4e8': [[1, 1, 4e8, 1, 20, 20, 1, 20]],
    'a coordinate of -4e8': [[1, 1, -4e8, 1, 20, 20, 1, 20]],
    'a coordinate of 4e8 downwards': [[1, 1, 20, 4e8, 20, 20]],
    'a coordinate of 2e7': [[1, 1, 2e7, 1, 20, 20, 1, 20]],
    'a coordinate of 1e300': [[1, 1, 1e300, 1, 20, 20, 1, 20]],
    'a coordinate beyond int64': [[1, 1, 10**30, 1, 20, 20, 1, 20]],
    'a coordinate beyond floating point': [[1, 1, 10**400, 1, 20, 20, 1, 20]],
    'a coordinate that is infinite': [[1, 1, float('inf'), 1, 20, 20, 1, 20]],
    'a coordinate that is no number': [[1, 1, float('nan'), 1, 20, 20, 1, 20]],
    'a coordinate of text': [[1, 1, '4e8', 1, 20, 20, 1, 20]],
    'the second polygon': [*GOOD, [1, 1, 4e8, 1, 20, 20]],
    'a million points': [zigzag(1_000_000)],
    'a hundred polygons of ten thousand points': [zigzag(10_000)] * 100,
    'run lengths of another size': run_length(2 * HEIGHT, 2 * WIDTH, [4 * WIDTH * HEIGHT]),
    'run lengths of an absurd size': run_length(48_000_000, 64_000_000, [0, 48 * 64 * 10**12]),
    'run lengths beyond the image': run_length(HEIGHT, WIDTH, [0, 4_000_000_000]),
    'run lengths that overflow': run_length(HEIGHT, WIDTH, [2**32, WIDTH * HEIGHT - 2**32]),
    'run lengths of huge numbers': run_length(HEIGHT, WIDTH, [10**400]),
    'run lengths of text': run_length(HEIGHT, WIDTH, ['0', '3072']),
    'compressed counts beyond the image': run_length(HEIGHT, WIDTH, '0ooooo1'),
    'compressed counts without an end': run_length(HEIGHT, WIDTH, 'o' * 1000),
    'compressed counts of junk': run_length(HEIGHT, WIDTH, '\x7f\x00~~'),
    'compressed counts of another alphabet': run_length(HEIGHT, WIDTH, '٣٤'),
    'a size of floating point': run_length(48.0, 64.0, [0, WIDTH * HEIGHT]),
    'a size of text': run_length('48', '64', [0, WIDTH * HEIGHT]),
    'a size not finite': run_length(float('nan'), WIDTH, [0, WIDTH * HEIGHT]),
}


def write(root: Path, segmentation, **changes) -> Path:
    """Write three images with an object each, of which the second has the segmentation."""
    (root / 'images').mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for i in (1, 2, 3):
        pixels = np.random.default_rng(i).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(root / 'images' / f'{i}.png')
        images.append(dict(id=i, file_name=f'{i}.png', width=WIDTH, height=HEIGHT))
        annotations.append(
            dict(id=10 * i, image_id=i, category_id=1, bbox=[4, 4, 36, 26], area=936, iscrowd=0,
                 segmentation=segmentation if i == 2 else GOOD)
        )  # fmt: skip
    images[1].update(changes)
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name='cat')])
    (root / 'train.json').write_text(json.dumps(content))
    return root / 'train.json'


def dataset(root: Path, **options) -> CheckedCocoDataset:
    return CheckedCocoDataset(
        data_root=str(root),
        ann_file='train.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=('cat',)),
        pipeline=[
            dict(type='mmdet.LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
        ],
        **options,
    )


def load_all(root: Path, **options) -> int:
    """Load every image as a training does, and return how many objects have a mask."""
    data = dataset(root, **options)
    return sum(int(data[i]['gt_masks'].masks.any((1, 2)).sum()) for i in range(len(data)))


# Run lengths


@pytest.mark.parametrize('density', [0.001, 0.1, 0.5, 0.99])
@pytest.mark.parametrize('shape', [(1, 1), (7, 300), (480, 640)])
def test_run_lengths_are_decoded_as_pycocotools_does(density, shape):
    mask = np.asfortranarray(np.random.default_rng(1).random(shape) < density).astype(np.uint8)
    mask[0, 0] = 1
    rle = coco_mask.encode(np.asfortranarray(mask))
    runs = rle_runs(rle['counts'].decode())
    flat = np.repeat(np.arange(len(runs)) % 2, runs).reshape(shape[::-1]).T
    assert (flat == mask).all()
    assert rle_fault(rle, shape[::-1]) is None
    plain = dict(size=list(shape), counts=runs.tolist())
    assert rle_fault(plain, shape[::-1]) is None
    assert area_of(plain, shape[::-1]) == mask.sum()
    assert box_of(plain, shape[::-1]) == list(coco_mask.toBbox(rle))


# Training


@pytest.mark.parametrize('name', ATTACKS)
def test_training_stops_or_leaves_the_mask_out(name, tmp_path):
    write(tmp_path, ATTACKS[name])
    with pytest.raises(DataError, match='annotation 20 of 2.png'):
        run_limited(load_all, tmp_path)
    assert run_limited(lambda: load_all(tmp_path, skip_bad_images=True)) == 2


@pytest.mark.parametrize('reach', [0.5, 1, 30, WIDTH - 1])
def test_outlines_past_the_edge_load_as_pycocotools_draws_them(reach, tmp_path):
    polygons = [[-reach, 10, WIDTH + reach, -reach, WIDTH + reach, 30, 20, HEIGHT + reach]]
    write(tmp_path, polygons)
    loaded = dataset(tmp_path)[1]['gt_masks'].masks[0]
    expected = coco_mask.decode(coco_mask.frPyObjects(polygons, HEIGHT, WIDTH))[..., 0]
    assert expected.any() and (loaded == expected).all()


def test_honest_outlines_of_any_detail_pass():
    angles = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    radius = 4000 + 50 * np.sin(500 * angles)  # a coast line, in an aerial photograph
    coast = np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1) + 4500
    assert outline_fault([coast.ravel().tolist()], (9000, 9000)) is None


def test_masks_larger_than_memory_are_refused(tmp_path):
    """A byte for each pixel and object, as mmdet holds them: 12.8 GB of a file of 80 KB."""
    path = write(tmp_path, GOOD)
    Image.new('1', (8000, 8000)).save(tmp_path / 'images' / '2.png')
    content = json.loads(path.read_text())
    content['annotations'] += [dict(content['annotations'][1], id=100 + i) for i in range(200)]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r'2\.png \(its 201 masks take 12 GiB'):
        run_limited(load_all, tmp_path)
    assert run_limited(lambda: load_all(tmp_path, skip_bad_images=True)) == 2


# Evaluation, which reads the annotation file itself


@pytest.mark.parametrize('name', ATTACKS)
def test_evaluation_stops_even_if_bad_data_are_left_out(name, tmp_path):
    write(tmp_path, ATTACKS[name])
    for options in (dict(), dict(skip_bad_images=True)):
        evaluated = functools.partial(load_all, tmp_path, test_mode=True, **options)
        with pytest.raises(DataError, match='annotation 20 of 2.png.*epsanet check'):
            run_limited(evaluated)


@pytest.mark.parametrize('size', [(0, 48), (10**9, 10**9), ('64', 48), (None, 48)], ids=str)
def test_evaluation_stops_at_an_impossible_size(size, tmp_path):
    write(tmp_path, ATTACKS['a coordinate of 4e8'], width=size[0], height=size[1])
    for options in (dict(), dict(skip_bad_images=True)):
        evaluated = functools.partial(load_all, tmp_path, test_mode=True, **options)
        with pytest.raises(DataError, match='entry of 2.png .its stated size is .*epsanet check'):
            run_limited(evaluated)


def compare(truth_file: str, results: list) -> dict:
    truth = load_ground_truth(truth_file)
    found = load_results(truth, results)
    return evaluate(truth, found['segm'], 'segm')


def result(segmentation, image: int = 2) -> dict:
    return dict(image_id=image, category_id=1, score=0.9, segmentation=segmentation)


@pytest.mark.parametrize('name', [*ATTACKS, 'a polygon of one point', 'a box for a polygon'])
def test_reports_refuse_the_mask_in_annotations_and_results(name, tmp_path):
    more = {'a polygon of one point': [[1, 1]], 'a box for a polygon': [[1, 1, 9, 9]]}
    attack = {**ATTACKS, **more}[name]
    good = coco_mask.frPyObjects(GOOD, HEIGHT, WIDTH)[0]
    good = dict(good, counts=good['counts'].decode())
    (tmp_path / 'good.json').write_text(json.dumps([result(good)]))
    path = str(write(tmp_path, attack))
    with pytest.raises(DataError, match='a mask on image 2 is bad'):
        run_limited(compare, path, [str(tmp_path / 'good.json')])
    write(tmp_path, GOOD)
    assert run_limited(compare, path, [str(tmp_path / 'good.json')])
    (tmp_path / 'bad.json').write_text(json.dumps([result(attack)]))
    with pytest.raises(DataError, match='a mask on image 2 is bad'):
        run_limited(compare, path, [str(tmp_path / 'bad.json')])


def test_reports_refuse_results_on_an_image_of_no_size(tmp_path):
    path = str(write(tmp_path, [], width=10**9, height=10**9))
    (tmp_path / 'bad.json').write_text(json.dumps([result(run_length(10**9, 10**9, 'o' * 999))]))
    with pytest.raises(DataError, match='a mask on image 2 is bad: its stated size is'):
        run_limited(compare, path, [str(tmp_path / 'bad.json')])


# The check and its repair


def check(path: Path, folder: Path) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = run_check([str(path)], fix=str(folder), page=str(folder.parent / 'page.html'))
        assert status == 1
        assert run_check([str(folder / 'train.json')]) == 0
    return out.getvalue()


@pytest.mark.parametrize('name', ATTACKS)
def test_the_check_reports_the_mask_and_the_repair_is_sound(name, tmp_path):
    path = write(tmp_path / 'data', ATTACKS[name])
    said = run_limited(check, path, tmp_path / 'fixed')
    assert f'{path}: annotation 20: ' in said
    assert run_limited(load_all, tmp_path / 'fixed') >= 2


@pytest.mark.parametrize('factor', [1000, 10**6, 10**8])
def test_a_mask_of_the_absurd_stated_size_of_its_image_is_bad(factor, tmp_path):
    """Masks of images that were scaled are scaled too: this one would be 3 GB, or no size."""
    width, height = factor * WIDTH, factor * HEIGHT
    mask = run_length(height, width, [0, width * height])
    path = write(tmp_path / 'data', mask, width=width, height=height)
    assert 'bad-mask (1)' in run_limited(check, path, tmp_path / 'fixed')


def test_a_polygon_on_a_missing_image_of_absurd_size_is_bad(tmp_path):
    polygon = [[1e9, 1, 1.4e9, 1, 1.4e9, 9]]
    path = write(tmp_path, polygon, width=2_000_000_000, height=9, file_name='none.png')
    content = json.loads(path.read_text())
    del content['annotations'][1]['area']  # it would be computed
    path.write_text(json.dumps(content))
    found = run_limited(lambda: check_dataset([str(path)]).findings.of('error'))
    assert {'missing-image', 'bad-polygon'} <= set(found)


# By the commands


def assert_refused(result: subprocess.CompletedProcess, *named: str) -> None:
    last = (result.stderr.strip().splitlines() or [''])[-1]
    assert result.returncode == 1, (result.returncode, result.stderr[-2000:])
    assert last.startswith('error: ') and 'Traceback' not in result.stderr
    assert all(name in last for name in named), last


@pytest.mark.parametrize('tool', ['train.py', 'test.py', 'report.py'])
def test_commands_end_in_one_line_at_4e8(tool, tiny_detector, tmp_path):  # noqa: F811
    content = json.loads(tiny_detector.ann_file.read_text())
    content['annotations'][0]['segmentation'] = ATTACKS['a coordinate of 4e8']
    path = tmp_path / 'attack.json'
    path.write_text(json.dumps(content))
    options = [
        f'{section}_dataloader.dataset.ann_file={path}' for section in ('train', 'val', 'test')
    ]
    options += [f'{section}_evaluator.ann_file={path}' for section in ('val', 'test')]
    place = ['--out', tmp_path / 'r.html'] if tool == 'report.py' else ['--work-dir', tmp_path]
    checkpoint = [] if tool == 'train.py' else [tiny_detector.checkpoint]
    result = run_tool(tool, tiny_detector.config, *checkpoint, *place, '--cfg-options', *options)
    assert_refused(result, 'attack.json', 'far outside the 96x64 image')
