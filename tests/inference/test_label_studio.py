"""Pre-annotations for Label Studio are in percent, and convert back to the same boxes and masks."""

import json
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
from label_cases import ODD_CLASSES, detections, drawn, iou, ring_and_dot, write_labels
from media import picture

from epsanet_mmdet.utils.text import xml_text


def read(folder):
    """Return the tasks; each of their regions belongs to a control of the interface."""
    view = ElementTree.parse(folder / 'label_studio.xml').getroot()
    image = view.find('Image')
    assert image.get('value') == '$image'
    controls = {e.get('name'): e for e in view if e.get('toName') == image.get('name')}
    tasks = json.loads((folder / 'label_studio.json').read_text())
    for task in tasks:
        assert set(task) == {'data', 'predictions'}
        (prediction,) = task['predictions']
        results = prediction['result']
        assert len({r['id'] for r in results}) == len(results)
        for result in results:
            control = controls[result['from_name']]
            assert control.tag.lower() == result['type'] and result['to_name'] == 'image'
            (name,) = result['value'][result['type']]
            assert name in [label.get('value') for label in control]
            assert 0 <= result['score'] <= 1
    return tasks


def test_boxes_convert_back(tmp_path):
    paths = [picture(tmp_path / 'a.png', size=(120, 80))]
    found = detections([ring_and_dot(), ring_and_dot()[::-1]], with_masks=False)
    found.boxes += np.float32([[-99, 0.25, 0.1, 99], [0, -99, 99, 0]])  # past the edges
    write_labels(paths, tmp_path, ['label-studio'], lambda *_: found)
    (task,) = read(tmp_path)
    boxes = []
    for result in task['predictions'][0]['result']:
        x, y, width, height = (result['value'][k] for k in ('x', 'y', 'width', 'height'))
        assert min(x, y) >= 0 and x + width <= 100.00001 and y + height <= 100.00001
        assert result['original_width'] == 120 and result['original_height'] == 80
        boxes.append([x * 1.2, y * 0.8, (x + width) * 1.2, (y + height) * 0.8])
    np.testing.assert_allclose(boxes, found.boxes.clip(0, [120, 80, 120, 80]), atol=0.001)


def test_masks_become_polygons(tmp_path):
    paths = [picture(tmp_path / 'a.png', size=(120, 80))]
    found = detections([ring_and_dot(), np.ones((80, 120))])
    write_labels(paths, tmp_path, ['label-studio'], lambda *_: found)
    (task,) = read(tmp_path)
    prediction = task['predictions'][0]
    for result, rle in zip(prediction['result'], found.rles, strict=True):
        points = np.array(result['value']['points'])
        assert points.min() >= 0 and points.max() <= 100
        assert iou(drawn((points * [1.2, 0.8]).flatten(), (80, 120)), rle) > 0.95
    assert prediction['score'] == np.float32(found.scores).mean().round(6)


def test_images_are_named_by_an_encoded_url_or_plainly(tmp_path):
    names = ['a &?#%.png', 'ä人.png', '\udcff.png']
    paths = [picture(tmp_path / name) for name in names]

    def name_of_images(**options):
        write_labels(
            paths, tmp_path, ['label-studio'], lambda i, size, _: detections([], size), **options
        )
        return [task['data']['image'] for task in read(tmp_path)]

    prefix = '/data/local-files/?d='
    urls = name_of_images()
    assert all(url.startswith(prefix) and url.isascii() for url in urls)
    assert [unquote(url[len(prefix) :], errors='surrogateescape') for url in urls] == names
    assert name_of_images(image_url='https://x/y/')[0] == 'https://x/y/a%20%26%3F%23%25.png'
    assert name_of_images(image_url='') == names


def test_the_interface_has_all_classes(tmp_path):
    write_labels([], tmp_path, ['label-studio'], None)
    view = ElementTree.parse(tmp_path / 'label_studio.xml').getroot()
    for control in ('RectangleLabels', 'PolygonLabels'):
        names = [label.get('value') for label in view.find(control)]
        assert names == [xml_text(name) for name in ODD_CLASSES]
