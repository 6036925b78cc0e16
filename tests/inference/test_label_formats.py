"""Inference writes labels on request, of all images and with the detector's own objects."""

import json
from xml.etree import ElementTree

import pytest
from media import picture, video
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector, reuse_detector  # noqa: F401

from epsanet_mmdet.errors import ConfigError, DataError
from epsanet_mmdet.inference.labels import LABEL_FORMATS

NAMES = {'cvat.xml', 'label_studio.json', 'label_studio.xml', 'ultralytics'}


def written(out):
    return NAMES & {path.name for path in out.iterdir()}


def test_each_format_has_every_object(infer_tiny, tiny_detector, tmp_path):  # noqa: F811
    out = tmp_path / 'out'
    infer_tiny([str(tiny_detector.images)], out, labels=list(LABEL_FORMATS), batch_size=3)
    assert written(out) == NAMES
    count = len(json.loads((out / 'results.bbox.json').read_text()))
    tasks = json.loads((out / 'label_studio.json').read_text())
    assert sum(len(task['predictions'][0]['result']) for task in tasks) == count > 0
    images = ElementTree.parse(out / 'cvat.xml').getroot().findall('image')
    assert sum(map(len, images)) == count and len(images) == 4
    lines = [p.read_text() for p in (out / 'ultralytics/labels/train').iterdir()]
    assert ''.join(lines).count('\n') == count and len(lines) == 4


def test_nothing_is_written_unless_requested(infer_tiny, tmp_path):
    infer_tiny([picture(tmp_path / 'a.png', size=(96, 64))], tmp_path / 'out')
    assert not written(tmp_path / 'out')


def test_images_that_cannot_be_read_are_left_out(infer_tiny, tmp_path):
    (tmp_path / 'torn.png').write_bytes(b'torn')
    inputs = [picture(tmp_path / 'a.png', size=(96, 64)), str(tmp_path / 'torn.png')]
    infer_tiny(inputs, tmp_path / 'out', labels=['cvat', 'ultralytics'])
    assert len(ElementTree.parse(tmp_path / 'out/cvat.xml').getroot().findall('image')) == 1
    assert [p.name for p in (tmp_path / 'out/ultralytics/images/train').iterdir()] == ['a.png']


def test_what_cannot_be_written_is_named_before_detection(infer_tiny, tmp_path):
    inputs, out = [picture(tmp_path / 'a.png', size=(96, 64))], tmp_path / 'out'
    with pytest.raises(ConfigError, match="no label format 'cvta'; did you mean 'cvat'"):
        infer_tiny(inputs, out, labels=['cvta'])
    with pytest.raises(DataError, match='save its frames as images first'):
        infer_tiny([*inputs, video(tmp_path / 'b.mp4')], out, labels=['cvat'])
    (out / 'ultralytics' / 'labels').mkdir(parents=True)
    with pytest.raises(DataError, match='may have been corrected'):
        infer_tiny(inputs, out, labels=['cvat', 'ultralytics'])
    assert written(out) == {'ultralytics'}


def test_an_input_is_not_overwritten(infer_tiny, tmp_path):
    (tmp_path / 'cvat.xml').symlink_to(picture(tmp_path / 'a.png', size=(96, 64)))
    with pytest.raises(DataError, match='would be overwritten'):
        infer_tiny([str(tmp_path / 'a.png')], tmp_path, labels=['cvat'])
