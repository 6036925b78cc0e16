"""Labels for CVAT are "CVAT for images 1.1", complete after each image."""

from xml.etree import ElementTree

import numpy as np
from label_cases import ODD_CLASSES, detections, drawn, iou, ring_and_dot, write_labels
from media import picture

from epsanet_mmdet.utils.text import xml_text

SHAPE = {'label', 'source', 'occluded', 'z_order'}
BOX, POLYGON = SHAPE | {'xtl', 'ytl', 'xbr', 'ybr'}, SHAPE | {'points'}


def read(folder):
    """Return the images of a file whose elements are those of the format."""
    root = ElementTree.parse(folder / 'cvat.xml').getroot()
    assert root.tag == 'annotations' and [e.tag for e in root[:2]] == ['version', 'meta']
    assert root.findtext('version') == '1.1'
    labels = [e.text for e in root.findall('meta/task/labels/label/name')]
    assert labels == [xml_text(name) for name in ODD_CLASSES]
    for i, image in enumerate(root[2:]):
        assert image.tag == 'image' and set(image.attrib) == {'id', 'name', 'width', 'height'}
        assert image.get('id') == str(i)
        for shape in image:
            assert set(shape.attrib) == (BOX if shape.tag == 'box' else POLYGON)
            assert shape.tag in ('box', 'polygon') and shape.get('label') in labels
            (attribute,) = shape
            assert attribute.get('name') == 'score' and 0 <= float(attribute.text) <= 1
    return root[2:]


def test_masks_become_polygons(tmp_path):
    mask = ring_and_dot()
    paths = [picture(tmp_path / 'a.png', size=(120, 80))]
    (found,) = write_labels(
        paths, tmp_path, ['cvat'], lambda i, size, name: detections([mask, mask[::-1]])
    )
    (image,) = read(tmp_path)
    assert (image.get('width'), image.get('height')) == ('120', '80')
    for polygon, rle in zip(image, found.rles, strict=True):
        points = [pair.split(',') for pair in polygon.get('points').split(';')]
        assert iou(drawn(np.float64(points).flatten(), (80, 120)), rle) > 0.95


def test_boxes_of_models_without_masks_are_equal(tmp_path):
    paths = [picture(tmp_path / 'a.png', size=(120, 80))]
    (found,) = write_labels(
        paths, tmp_path, ['cvat'], lambda *_: detections([ring_and_dot()], with_masks=False)
    )
    (image,) = read(tmp_path)
    corners = [[float(b.get(k)) for k in ('xtl', 'ytl', 'xbr', 'ybr')] for b in image]
    np.testing.assert_allclose(corners, found.boxes, atol=0.005)


def test_images_without_objects_and_with_hostile_names_are_listed(tmp_path):
    names = ['a<&">\'.png', 'new\nline.png', 'bell\x07.png', 'ä人.png', '\udcff.png']
    paths = [picture(tmp_path / name) for name in names]
    write_labels(paths, tmp_path, ['cvat'], lambda i, size, name: detections([], size))
    found = [image.get('name') for image in read(tmp_path)]
    assert found == [xml_text(name) for name in names]
    assert found[:2] == names[:2] and found[2] == 'bell\\x07.png'


def test_the_file_is_complete_after_each_image(tmp_path):
    paths = [picture(tmp_path / f'{i}.png', size=(120, 80)) for i in range(3)]
    counts = []

    def count(*_):
        counts.append(len(read(tmp_path)))
        return detections([ring_and_dot()])

    write_labels(paths, tmp_path, ['cvat'], count)
    assert counts == [0, 1, 2] and len(read(tmp_path)) == 3
