"""The page of a checked data set shows its images, with the objects where they are annotated."""

import json
import re

import cv2
import pytest
from browser import ask, needs_browser, probe
from drawn_page import Drawn, filled
from pycocotools import mask as coco_mask
from small_data import CLASSES, HEIGHT, WIDTH, write_coco, write_json

from epsanet_mmdet.own_data.lint import check_dataset
from epsanet_mmdet.own_data.page import render_page
from epsanet_mmdet.utils.svg import LONGEST_SIDE


def draw(root, change=lambda content: None):
    """Return the content of the training annotations, changed, and what the page shows of it."""
    path = root / 'annotations' / 'train.json'
    content = json.loads(path.read_text(encoding='utf-8'))
    change(content)
    write_json(path, content)
    page = render_page(check_dataset([str(path)]))
    return content, page, Drawn(page)


def as_run_lengths(content):
    for annotation in content['annotations']:
        rle = coco_mask.frPyObjects(annotation['segmentation'], HEIGHT, WIDTH)[0]
        annotation['segmentation'] = {**rle, 'counts': rle['counts'].decode()}


@pytest.mark.parametrize('change', [lambda content: None, as_run_lengths])
def test_masks_and_boxes_lie_where_they_are_annotated(change, tmp_path):
    content, _, drawn = draw(write_coco(tmp_path), change)
    assert drawn.sizes == [(WIDTH, HEIGHT)] * len(content['images'])
    names = {category['id']: category['name'] for category in content['categories']}
    for image, objects in zip(content['images'], drawn.objects):
        wanted = {
            (names[a['category_id']], *a['bbox'])
            for a in content['annotations']
            if a['image_id'] == image['id']
        }
        assert {(shape['name'], *shape['box']) for shape in objects} == wanted
        for shape in objects:
            x, y, w, h = (int(value) for value in shape['box'])
            area = filled(shape['mask'], (WIDTH, HEIGHT))
            assert area[y + 2 : y + h - 2, x + 2 : x + w - 2].all()
            area[max(0, y - 2) : y + h + 3, max(0, x - 2) : x + w + 3] = False
            assert not area.any()


def test_each_class_has_a_colour_that_the_key_names(tmp_path):
    _, page, drawn = draw(write_coco(tmp_path))
    key = re.findall(r'class="key" style="background: ([^"]*)"></span> ([^<]*\S) ', page)
    shown = {(shape['colour'], shape['name']) for objects in drawn.objects for shape in objects}
    assert set(key) == shown and len({colour for colour, _ in key}) == len(CLASSES)


def test_large_images_are_shrunk_and_keep_the_coordinates_of_their_objects(tmp_path):
    root = write_coco(tmp_path)

    def enlarge(content):
        image = content['images'][0]
        path = root / 'images' / image['file_name']
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), None, fx=20, fy=20))
        image.update(width=20 * WIDTH, height=20 * HEIGHT)
        for annotation in content['annotations'][:2]:
            annotation['bbox'] = [20 * v for v in annotation['bbox']]
            annotation['segmentation'] = [[20 * v for v in annotation['segmentation'][0]]]

    content, _, drawn = draw(root, enlarge)
    assert drawn.sizes[0] == (20 * WIDTH, 20 * HEIGHT)
    assert drawn.images[0].shape == (LONGEST_SIDE * HEIGHT // WIDTH, LONGEST_SIDE, 3)
    boxes = [shape['box'] for shape in drawn.objects[0]]
    assert content['annotations'][0]['bbox'] in boxes


@needs_browser
@pytest.mark.parametrize('width', [1600, 900, 390])
def test_a_browser_shows_the_page_and_enlarges_its_images(width, tmp_path):
    content, page, _ = draw(write_coco(tmp_path / 'data'))
    path = tmp_path / 'page.html'
    path.write_text(page, encoding='utf-8')
    seen = probe(path, width)
    assert (seen['overflow'] <= 0, seen['loaded']) == (True, 0)
    assert seen['pictures'] == len(content['images'])
    opened = """
  document.querySelector('figcaption button').click();
  const dialog = document.querySelector('dialog');
  return [dialog.open, dialog.querySelectorAll('svg.picture').length];
  """
    assert ask(path, opened, width) == [True, 1]
