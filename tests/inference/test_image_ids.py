"""Results have the image and category ids of a given annotation file, which must have them all."""

import json

import pytest
from media import picture
from pycocotools.coco import COCO
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector, reuse_detector  # noqa: F401

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.inference.image_ids import ImageIds
from epsanet_mmdet.inference.sources import Frame, Source


def test_results_have_the_ids_of_the_annotation_file(infer_tiny, tiny_detector, tmp_path):  # noqa: F811
    ann_file = str(tiny_detector.ann_file)
    infer_tiny([str(tiny_detector.images / '*')], tmp_path, ann_file=ann_file)
    results = COCO(ann_file).loadRes(str(tmp_path / 'results.segm.json'))
    assert {a['image_id'] for a in results.anns.values()} == {10, 20, 30, 40}
    assert {a['category_id'] for a in results.anns.values()} <= {3, 7}
    assert not (tmp_path / 'images.json').exists()
    with pytest.raises(DataError, match='lacks 1 of 1 inputs'):
        infer_tiny([picture(tmp_path / 'other.png')], tmp_path / 'out', ann_file=ann_file)
    with pytest.raises(DataError, match='does not exist'):
        infer_tiny([str(tiny_detector.images)], tmp_path / 'out', ann_file='absent.json')
    text = tiny_detector.ann_file.read_text().replace('"box"', '"cube"')
    (tmp_path / 'other.json').write_text(text)
    with pytest.raises(DataError, match='has no categories box'):
        infer_tiny(
            [str(tiny_detector.images)],
            tmp_path / 'out',
            ann_file=str(tmp_path / 'other.json'),
        )
    assert not (tmp_path / 'out').exists()


def test_of_images_of_one_name_each_has_its_own_id(tmp_path):
    ann_file = tmp_path / 'ann.json'
    images = [dict(id=i, file_name=name) for i, name in enumerate(('1.jpg', 'night/1.jpg'), 1)]
    ann_file.write_text(json.dumps(dict(images=images, annotations=[], categories=[])))
    ids = ImageIds(str(ann_file))
    day, night = (Source(f'imgs/{name}', name) for name in ('1.jpg', 'night/1.jpg'))
    ids.check([day, night])
    assert [ids.image(Frame(s))['id'] for s in (day, night)] == [1, 2]
    with pytest.raises(DataError, match=r"one image for 'imgs/1.jpg' and 'imgs/fog/1.jpg'"):
        ids.check([day, Source('imgs/fog/1.jpg', 'fog/1.jpg')])
