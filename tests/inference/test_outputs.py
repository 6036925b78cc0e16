"""The output folder has drawn images and videos, COCO results and CSV, complete at any time."""

import csv
import json

import cv2
import numpy as np
from media import picture, video
from pycocotools.coco import COCO
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector, reuse_detector  # noqa: F401

from epsanet_mmdet.inference import Detector
from epsanet_mmdet.inference.sources import read_frames
from epsanet_mmdet.inference.videos import video_suffix


def load(folder, name):
    return json.loads((folder / name).read_text(encoding='utf-8'))


def test_a_folder_is_drawn_and_listed(infer_tiny, tiny_detector, tmp_path):  # noqa: F811
    out = tmp_path / 'out'
    assert infer_tiny([str(tiny_detector.images)], out, batch_size=2) == []
    assert len(list((out / 'pictures').iterdir())) == 4
    drawn = cv2.imread(str(out / 'pictures' / 'picture 1.png'))
    plain = cv2.imread(str(tiny_detector.images / 'picture 1.png'))
    assert drawn.shape == plain.shape and (drawn != plain).any()
    truth = COCO(str(out / 'images.json'))
    boxes = truth.loadRes(str(out / 'results.bbox.json'))
    masks = truth.loadRes(str(out / 'results.segm.json'))
    assert len(boxes.anns) == len(masks.anns) > 0
    assert masks.annToMask(masks.anns[1]).shape == (64, 96)
    with open(out / 'results.csv', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(boxes.anns)
    assert rows[0]['image'] == 'picture 1.png' and rows[0]['class'] in ('disc', 'box')
    x, y, w, h = boxes.anns[1]['bbox']
    corners = [float(rows[0][key]) for key in ('x1', 'y1', 'x2', 'y2')]
    np.testing.assert_allclose(corners, [x, y, x + w, y + h], atol=0.01)
    assert int(rows[0]['mask_area']) == masks.anns[1]['area']


def test_videos_become_drawn_videos_and_one_image_per_frame(infer_tiny, tmp_path):
    clips = [video(tmp_path / 'clip.mp4', 3), video(tmp_path / 'other.avi', 2)]
    assert infer_tiny(clips, tmp_path / 'out') == []
    for name, frames in (('clip', 3), ('other', 2)):
        capture = cv2.VideoCapture(str(tmp_path / 'out' / 'videos' / f'{name}{video_suffix()}'))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == frames
        assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 64
    images = load(tmp_path / 'out', 'images.json')['images']
    assert [(i['file_name'], i['frame_id']) for i in images] == [
        *(('clip.mp4', n) for n in range(3)),
        *(('other.avi', n) for n in range(2)),
    ]


def test_without_detections_the_results_are_empty_lists(infer_tiny, tmp_path):
    infer_tiny([picture(tmp_path / 'a.png', size=(96, 64))], tmp_path / 'out', score_thr=1)
    assert load(tmp_path / 'out', 'results.bbox.json') == []
    assert load(tmp_path / 'out', 'results.segm.json') == []


def test_results_are_written_after_each_image(infer_tiny, tmp_path, monkeypatch):
    out, seen = tmp_path / 'out', []
    inputs = [picture(tmp_path / f'{i}.png', size=(96, 64)) for i in range(3)]

    def frames(sources):
        for frame in read_frames(sources):
            yield frame
            images = load(out, 'images.json')['images']
            results = load(out, 'results.segm.json')
            assert len(load(out, 'results.bbox.json')) == len(results) > 0
            assert {result['image_id'] for result in results} <= {image['id'] for image in images}
            assert len((out / 'results.csv').read_text().splitlines()) == 1 + len(results)
            seen.append((len(images), len(list((out / 'pictures').iterdir()))))

    monkeypatch.setattr('epsanet_mmdet.inference.run.read_frames', frames)
    infer_tiny(inputs, out)
    assert seen == [(1, 1), (2, 2), (3, 3)]


def test_nothing_is_drawn_without_pictures(infer_tiny, tmp_path, monkeypatch):
    monkeypatch.delattr(Detector, 'draw')
    infer_tiny(
        [picture(tmp_path / 'a.png', size=(96, 64)), video(tmp_path / 'b.mp4')],
        tmp_path / 'out',
        pictures=False,
    )
    names = ['images.json', 'results.bbox.json', 'results.csv', 'results.segm.json']
    assert sorted(path.name for path in (tmp_path / 'out').rglob('*')) == names
    assert len(load(tmp_path / 'out', 'images.json')['images']) == 6


def test_results_of_an_earlier_run_are_replaced(infer_tiny, tiny_detector, tmp_path):  # noqa: F811
    inputs, out = [str(tiny_detector.images / 'picture 1.png')], tmp_path / 'out'
    infer_tiny(inputs, out)
    before = load(out, 'results.bbox.json')
    infer_tiny(inputs, out, ann_file=str(tiny_detector.ann_file))
    assert not (out / 'images.json').exists()
    assert len(load(out, 'results.bbox.json')) == len(before)
