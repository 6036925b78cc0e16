"""The pictures of the page: objects lie where they are annotated, in the colours of its key."""

import base64
import json
import re

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from small_data import COLOURS, HEIGHT, WIDTH, write_coco, write_json

from epsanet_mmdet.own_data.lint import check_dataset
from epsanet_mmdet.own_data.pictures import EXTENT, colours, draw


def first_picture(root, change=lambda content: None):
    """Draw the first image of a data set."""
    path = root / 'annotations' / 'train.json'
    content = json.loads(path.read_text(encoding='utf-8'))
    change(content)
    write_json(path, content)
    split = check_dataset([str(root)]).splits[0]
    image = split.images[0]
    annotations = [a for a in split.annotations if a['image_id'] == image['id']]
    uri = draw(split, image, annotations)
    pixels = np.frombuffer(base64.b64decode(uri.split(',')[1]), np.uint8)
    return split, annotations, cv2.imdecode(pixels, cv2.IMREAD_COLOR)


def as_run_lengths(content):
    for annotation in content['annotations']:
        rle = coco_mask.frPyObjects(annotation['segmentation'], HEIGHT, WIDTH)[0]
        annotation['segmentation'] = {**rle, 'counts': rle['counts'].decode()}


@pytest.mark.parametrize('change', [lambda content: None, as_run_lengths])
def test_masks_are_tinted_in_the_colours_of_the_key(change, tmp_path):
    split, annotations, picture = first_picture(write_coco(tmp_path), change)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    bare = cv2.imread(split.path_of(split.images[0]['file_name'])).astype(float)
    assert len(set(colours(split).values())) == 2
    for annotation in annotations:
        x, y, w, h = (int(v) for v in annotation['bbox'])
        colour = list(map(int, re.findall(r'\d+', colours(split)[annotation['category_id']])))
        inside = slice(y + 4, y + h - 4), slice(x + 4, x + w - 4)
        wanted = 0.55 * bare[inside].mean((0, 1)) + 0.45 * np.array(colour[::-1])
        np.testing.assert_allclose(picture[inside].mean((0, 1)), wanted, atol=12)
    corner = picture[:2, :2].astype(float)
    np.testing.assert_allclose(corner, bare[:2, :2], atol=60)  # JPEG of noise


def test_large_images_are_shrunk_with_their_annotations(tmp_path):
    root = write_coco(tmp_path)

    def enlarge(content):
        image = content['images'][0]
        path = root / 'images' / image['file_name']
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), None, fx=20, fy=20))
        image.update(width=20 * WIDTH, height=20 * HEIGHT)
        for annotation in content['annotations'][:2]:
            annotation['bbox'] = [20 * v for v in annotation['bbox']]
            annotation['segmentation'] = [[20 * v for v in annotation['segmentation'][0]]]

    split, annotations, picture = first_picture(root, enlarge)
    assert picture.shape == (EXTENT * HEIGHT // WIDTH, EXTENT, 3)
    x, y, w, h = (int(v * EXTENT / WIDTH / 20) for v in annotations[0]['bbox'])
    colour = [int(v) for v in re.findall(r'\d+', colours(split)[annotations[0]['category_id']])]
    wanted = 0.55 * np.array(COLOURS[0][::-1]) + 0.45 * np.array(colour[::-1])
    np.testing.assert_allclose(picture[y + h // 2, x + w // 2], wanted, atol=12)
