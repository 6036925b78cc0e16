"""A box that is absurdly small for its class is a warning; an honest small one is not."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from epsanet_mmdet.own_data.lint import check_dataset

SIDE = 1000


def write(root: Path, sizes, split: str = 'train', category: str = 'cell') -> Path:
    """Write an image with boxes of the given widths and heights, whose ids start at 1."""
    (root / 'images').mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(split)).integers(0, 255, (SIDE, SIDE), np.uint8)
    Image.fromarray(pixels).save(root / 'images' / f'{split}.png')
    annotations = [
        dict(id=i, image_id=1, category_id=1, bbox=[5, 5, w, h], area=w * h, iscrowd=0)
        for i, (w, h) in enumerate(np.asarray(sizes, float).tolist(), start=1)
    ]
    images = [dict(id=1, file_name=f'{split}.png', width=SIDE, height=SIDE)]
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name=category)])
    (root / f'{split}.json').write_text(json.dumps(content))
    return root


def warned(root: Path) -> list:
    data = check_dataset([str(root)])
    return data.findings.of('warning').get('absurdly-small', [])


def cells(count: int, seed: int = 0) -> np.ndarray:
    """Blood cells of a hundred pixels, give or take ten."""
    return np.random.default_rng(seed).normal(100, 10, (count, 2)).round()


def test_a_box_of_a_pixel_among_cells_of_a_hundred_is_a_warning(tmp_path):
    root = write(tmp_path, [*cells(200), (1, 1), (4, 2)])
    first, second = warned(root)
    assert (first.entry, second.entry) == ('annotation 201', 'annotation 202')
    assert "[5, 5, 1, 1] is 1x1 pixels, where 'cell' usually has" in first.message
    assert first.file == str(root / 'train.json')


def test_a_small_split_is_compared_with_the_others(tmp_path):
    write(tmp_path, cells(200))
    write(tmp_path, [*cells(3, 1), (1, 1)], split='val')
    (finding,) = warned(tmp_path)
    assert finding.place == f'{tmp_path / "val.json"}: annotation 4'


def test_sizes_of_other_classes_do_not_matter(tmp_path):
    write(tmp_path, cells(200))
    content = json.loads((tmp_path / 'train.json').read_text())
    content['categories'].append(dict(id=2, name='platelet'))
    for i in range(30):
        extra = dict(content['annotations'][0], id=1000 + i, category_id=2, bbox=[5, 5, 3, 3])
        content['annotations'].append(extra)
    (tmp_path / 'train.json').write_text(json.dumps(content))
    assert not warned(tmp_path)


@pytest.mark.parametrize('seed', range(5))
def test_people_near_and_far_are_honest(seed, tmp_path):
    """Of log-normal sizes, as COCO's classes are: from a pixel to all of the picture."""
    random = np.random.default_rng(seed)
    sizes = np.exp(random.normal(np.log(40), 1.2, (5000, 1)) + random.normal(0, 0.3, (5000, 2)))
    assert (sizes.prod(1) < np.median(sizes.prod(1)) / 400).sum() > 10
    assert not warned(write(tmp_path, sizes.clip(1, SIDE - 10)))


def test_a_class_of_few_objects_is_not_judged(tmp_path):
    assert not warned(write(tmp_path, [*cells(15), (1, 1)]))


def test_boxes_some_times_smaller_than_usual_are_honest(tmp_path):
    assert not warned(write(tmp_path, [*cells(200), (50, 50), (25, 25), (11, 11), (6, 6)]))


def test_crowds_are_not_compared(tmp_path):
    write(tmp_path, [*cells(200), (1, 1)])
    content = json.loads((tmp_path / 'train.json').read_text())
    content['annotations'][-1]['iscrowd'] = 1
    (tmp_path / 'train.json').write_text(json.dumps(content))
    assert not warned(tmp_path)


def test_real_photographs_are_honest(tiny_coco, penn_fudan):
    """One of the pedestrians, far down the road, has 6x21 pixels, where most have 170x170."""
    assert not warned(tiny_coco) and not warned(penn_fudan)
