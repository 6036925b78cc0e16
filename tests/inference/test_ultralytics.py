"""Labels for Ultralytics are a folder that this package reads back as the same objects."""

import cv2
import numpy as np
import pytest
from label_cases import ODD_CLASSES, blob, detections, drawn, iou, ring_and_dot, write_labels
from media import picture

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.inference.labels import check_label_options
from epsanet_mmdet.own_data.lint import check_dataset

REAL = ('../shared/data/tiny_coco/val2017', '../shared/data/penn_fudan/images')


def read(folder):
    """Return the objects of each image by its stem, as this package reads them."""
    data = check_dataset([str(folder / 'ultralytics')])
    assert set(data.findings.of('error')) <= {'no-objects'}
    (split,) = data.splits
    assert split.name == 'train' and split.format == 'yolo'
    images = {image['id']: [] for image in split.images}
    for annotation in split.annotations:
        images[annotation['image_id']].append(annotation)
    stems = [image['file_name'].split('/')[-1].rpartition('.')[0] for image in split.images]
    return split, dict(zip(stems, images.values()))


def corners(annotation):
    x, y, width, height = annotation['bbox']
    return [x, y, x + width, y + height]


@pytest.mark.parametrize('root', REAL)
def test_real_images_read_back_with_their_objects(root, tmp_path, request):
    folder = request.config.rootpath / root
    if not folder.is_dir():
        pytest.skip('the real images are absent')
    paths = sorted(map(str, folder.glob('*.jpg')))[:6]

    def make(i, size, name):
        masks = [blob(size, 10 * i + k, grain=30, share=0.02 + 0.3 * k) for k in range(3)]
        return detections(masks, size, name, labels=[3, 1, 0])

    found = write_labels(paths, tmp_path, ['ultralytics'], make)
    split, objects = read(tmp_path)
    assert split.classes == list(ODD_CLASSES)
    for one in found:
        read_back = objects[one.name.rpartition('.')[0]]
        assert [o['category_id'] for o in read_back] == [3, 1, 0]
        for annotation, box, rle in zip(read_back, one.boxes, one.rles, strict=True):
            (polygon,) = annotation['segmentation']
            assert iou(drawn(polygon, one.size), rle) > 0.95
            np.testing.assert_allclose(corners(annotation), box, atol=2)
    for path in paths:
        copied = tmp_path / 'ultralytics/images/train' / path.rpartition('/')[2]
        assert copied.read_bytes() == open(path, 'rb').read()


def test_boxes_of_models_without_masks_read_back_equal(tmp_path):
    paths = [picture(tmp_path / 'a.png', size=(120, 80))]
    found = detections([ring_and_dot(), ring_and_dot()[::-1]], with_masks=False)
    found.boxes += np.float32(0.37)
    write_labels(paths, tmp_path, ['ultralytics'], lambda *_: found)
    objects = read(tmp_path)[1]['a']
    assert not any('segmentation' in annotation for annotation in objects)
    np.testing.assert_allclose([corners(o) for o in objects], found.boxes, atol=0.02)


def test_an_empty_mask_becomes_its_box_and_a_box_without_area_is_left_out(tmp_path):
    paths = [picture(tmp_path / 'a.png', size=(120, 80))]
    found = detections([np.zeros((80, 120)), ring_and_dot()])
    found.boxes[0] = (10, 20, 30, 60)
    flat = detections([np.zeros((80, 120))])
    flat.boxes[0] = (10, 20, 10, 60)
    for folder, one, count in ((tmp_path / '1', found, 2), (tmp_path / '2', flat, 0)):
        write_labels(paths, folder, ['ultralytics'], lambda *_, one=one: one)
        objects = read(folder)[1]['a']
        assert len(objects) == count
        if count:
            assert corners(objects[0]) == pytest.approx([10, 20, 30, 60], abs=0.02)
            assert objects[0]['segmentation']


def test_images_without_objects_have_an_empty_file(tmp_path):
    paths = [picture(tmp_path / 'a.png')]
    write_labels(paths, tmp_path, ['ultralytics'], lambda i, size, _: detections([], size))
    assert (tmp_path / 'ultralytics/labels/train/a.txt').read_text() == ''
    assert read(tmp_path)[1] == {'a': []}


def test_images_of_any_name_have_labels_of_their_own_inside_the_folder(tmp_path):
    names = ['x/a.png', 'x/a.jpg', 'y/a.png', 'y/A.png', 'images/b.png', 'labels/..\\c.png']
    names += ['x/new\nline.png', 'x/\udcff.png', f'x/{"ä" * 120}.png', 'y/.c.png']
    paths = [
        picture(tmp_path / 'in' / name, size=(120, 80), color=(20 * i,) * 3)
        for i, name in enumerate(names)
    ]
    masks = [np.roll(ring_and_dot(), 5 * i, 1) for i in range(len(paths))]
    found = write_labels(
        paths,
        tmp_path / 'out',
        ['ultralytics'],
        lambda i, size, name: detections([masks[i]], size, name),
    )
    split, objects = read(tmp_path / 'out')
    assert len({stem.casefold() for stem in objects}) == len(names)
    for image, (annotation,) in zip(split.images, objects.values(), strict=True):
        i = round(cv2.imread(split.path_of(image['file_name']))[0, 0, 0] / 20)
        assert iou(drawn(annotation['segmentation'][0], (80, 120)), found[i].rles[0]) > 0.95
    assert {p.name for p in (tmp_path / 'out').iterdir()} == {'ultralytics'}


def test_labels_that_may_have_been_corrected_are_not_replaced(tmp_path):
    check_label_options(['ultralytics'], str(tmp_path), [])
    (tmp_path / 'ultralytics').mkdir()
    check_label_options(['ultralytics'], str(tmp_path), [])
    (tmp_path / 'ultralytics' / 'data.yaml').touch()
    check_label_options(['cvat'], str(tmp_path), [])
    with pytest.raises(DataError, match="^'/.*/ultralytics' exists, .* remove it, or choose"):
        check_label_options(['ultralytics'], str(tmp_path), [])
