"""Detecting from Python and into a folder, with everything that can be wrong."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from pycocotools.coco import COCO
from test_sources import picture, video
from tiny_detector import tiny_detector, write_checkpoint  # noqa: F401

import epsanet_mmdet
from epsanet_mmdet.config.load import configs_dir
from epsanet_mmdet.errors import CheckpointError, ConfigError, DataError, UserError
from epsanet_mmdet.inference import Detector, infer_to_folder
from epsanet_mmdet.inference.detections import Detections
from epsanet_mmdet.inference.sources import Frame, find_sources, read_frames
from epsanet_mmdet.inference.videos import video_suffix


@pytest.fixture(scope='module')
def detector(tiny_detector):  # noqa: F811
    return Detector(tiny_detector.config, tiny_detector.checkpoint, 'cpu')


@pytest.fixture
def infer_tiny(tiny_detector, detector, monkeypatch):  # noqa: F811
    """Run ``infer_to_folder`` with the detector that is already loaded."""
    monkeypatch.setattr('epsanet_mmdet.inference.run.Detector', lambda *_: detector)

    def run(inputs, out_dir, **options):
        options = {'score_thr': 0.1, **options}
        return infer_to_folder(
            inputs, tiny_detector.config, tiny_detector.checkpoint, str(out_dir), **options
        )

    return run


def load(folder, name):
    return json.loads((folder / name).read_text(encoding='utf-8'))


def test_arrays(tiny_detector, detector):  # noqa: F811
    found = epsanet_mmdet.infer(
        tiny_detector.images, tiny_detector.config, tiny_detector.checkpoint, 0.1, device='cpu'
    )
    assert [f.name for f in found] == [f'picture {i}.png' for i in range(1, 5)]
    first = found[0]
    n = len(first)
    assert 0 < n <= 10
    assert first.boxes.shape == (n, 4) and first.boxes.dtype == np.float32
    assert first.scores.shape == (n,) and (np.diff(first.scores) <= 0).all()
    assert first.labels.shape == (n,) and first.labels.dtype == np.int64
    assert first.class_names == [('disc', 'box')[label] for label in first.labels]
    assert first.masks.shape == (n, 64, 96) and first.masks.dtype == bool


def test_arrays_as_input_and_batches_change_nothing(tiny_detector, detector):  # noqa: F811
    paths = sorted(tiny_detector.images.iterdir())
    arrays = [cv2.imread(str(path)) for path in paths]
    for batch_size, inputs in ((1, arrays), (3, [str(path) for path in paths])):
        stream = detector.stream(read_frames(find_sources(inputs)), 0.1, batch_size)
        found = [Detections.from_sample(*pair, detector.classes) for pair in stream]
        if batch_size == 1:
            wanted = found
    for one, other in zip(wanted, found):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_shrunk_pictures_give_boxes_and_masks_of_the_original(detector):
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    ((_, small),) = detector.stream([Frame(find_sources([image])[0], image, (64, 96))], 0.1)
    big = Frame(find_sources([image])[0], image, (640, 960))
    ((_, sample),) = detector.stream([big], 0.1)
    found = Detections.from_sample(big, sample, detector.classes)
    np.testing.assert_allclose(found.boxes, 10 * small.pred_instances.bboxes.numpy(), rtol=1e-5)
    np.testing.assert_array_equal(
        found.masks[:, ::10, ::10], small.pred_instances.masks.numpy().astype(bool)
    )


def test_folder(infer_tiny, tiny_detector, tmp_path):  # noqa: F811
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


def test_ids_of_an_annotation_file(infer_tiny, tiny_detector, tmp_path):  # noqa: F811
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


def test_bad_pictures_are_named_and_the_rest_goes_on(infer_tiny, tmp_path):
    inputs = tmp_path / 'in'
    for name, mode in (('ä 1.png', 'I;16'), ('c.jpg', 'CMYK'), ('d.bmp', 'P'), ('e.png', 'RGBA')):
        picture(inputs / name, mode, (96, 64))
    picture(inputs / 'thin.png', 'L', (3000, 1))
    (inputs / 'empty.png').touch()
    (inputs / 'torn.mp4').write_bytes(b'torn')
    faults = infer_tiny([str(inputs)], tmp_path / 'out', batch_size=3)
    assert sorted(f.split('/')[-1] for f in faults) == [
        'empty.png: empty file',
        "thin.png: cannot be resized to the config's image scale",
        'torn.mp4: cannot be opened as a video',
    ]
    assert len(load(tmp_path / 'out', 'images.json')['images']) == 4
    assert (tmp_path / 'out' / 'pictures' / 'ä 1.png').is_file()


def test_nothing_found_is_written_too(infer_tiny, tmp_path):
    infer_tiny([picture(tmp_path / 'a.png', size=(96, 64))], tmp_path / 'out', score_thr=1)
    assert load(tmp_path / 'out', 'results.bbox.json') == []
    assert load(tmp_path / 'out', 'results.segm.json') == []


def test_videos(infer_tiny, tmp_path):
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


def test_output_that_cannot_be_written(infer_tiny, tmp_path, monkeypatch):
    inputs = [picture(tmp_path / 'a.png', size=(96, 64))]
    (tmp_path / 'file').touch()
    with pytest.raises(DataError, match='cannot be written'):
        infer_tiny(inputs, tmp_path / 'file')

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('epsanet_mmdet.inference.outputs.OutputFolder.add', full)
    with pytest.raises(DataError, match='No space left'):
        infer_tiny(inputs, tmp_path / 'out')


def test_results_are_written_as_they_come(infer_tiny, tmp_path, monkeypatch):
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


@pytest.mark.parametrize(
    ('number', 'kind'), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_lets_the_batch_end(infer_tiny, tmp_path, monkeypatch, number, kind, capsys):
    inputs = [picture(tmp_path / f'{i}.png', size=(96, 64)) for i in range(9)]

    def frames(sources):
        for i, frame in enumerate(read_frames(sources)):
            if i == 4:  # the second of the second batch
                os.kill(os.getpid(), number)
            yield frame

    monkeypatch.setattr('epsanet_mmdet.inference.run.read_frames', frames)
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(kind) as info:
        infer_tiny(inputs, tmp_path / 'out', batch_size=3)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    line = str(info.value) if kind is KeyboardInterrupt else capsys.readouterr().err
    assert 'interrupted after 4 pictures; their results are in' in line
    assert kind is KeyboardInterrupt or info.value.code == 143
    assert len(load(tmp_path / 'out', 'images.json')['images']) == 4
    assert len(list((tmp_path / 'out' / 'pictures').iterdir())) == 4


def test_without_pictures(infer_tiny, tmp_path, monkeypatch):
    monkeypatch.delattr(Detector, 'draw')
    infer_tiny(
        [picture(tmp_path / 'a.png', size=(96, 64)), video(tmp_path / 'b.mp4')],
        tmp_path / 'out',
        pictures=False,
    )
    names = ['images.json', 'results.bbox.json', 'results.csv', 'results.segm.json']
    assert sorted(path.name for path in (tmp_path / 'out').rglob('*')) == names
    assert len(load(tmp_path / 'out', 'images.json')['images']) == 6


def test_results_of_an_earlier_run_do_not_stay(infer_tiny, tiny_detector, tmp_path):  # noqa: F811
    inputs, out = [str(tiny_detector.images / 'picture 1.png')], tmp_path / 'out'
    infer_tiny(inputs, out)
    before = load(out, 'results.bbox.json')
    infer_tiny(inputs, out, ann_file=str(tiny_detector.ann_file))
    assert not (out / 'images.json').exists()
    assert len(load(out, 'results.bbox.json')) == len(before)


def content_of(folder):
    return {
        path: (path.is_symlink(), path.read_bytes()) for path in folder.rglob('*') if path.is_file()
    }


@pytest.mark.parametrize('kind', ['file', 'symlink', 'hard link', 'folder link', 'video'])
def test_no_input_is_written_over(infer_tiny, tmp_path, kind):
    out = tmp_path / 'inf'
    there = out / 'pictures' / 'a.png'
    if kind == 'file':
        inputs = [picture(there, size=(96, 64))]
    elif kind == 'video':
        (out / 'videos').mkdir(parents=True)
        inputs = [video(out / 'videos' / 'a.mp4')]
        if video_suffix() != '.mp4':
            os.rename(inputs[0], out / 'videos' / f'a{video_suffix()}')
            inputs = [str(out / 'videos' / f'a{video_suffix()}')]
    else:
        inputs = [picture(tmp_path / 'in' / 'a.png', size=(96, 64))]
        if kind == 'folder link':
            out.mkdir()
            (out / 'pictures').symlink_to(tmp_path / 'in')
        else:
            there.parent.mkdir(parents=True)
            getattr(there, 'symlink_to' if kind == 'symlink' else 'hardlink_to')(inputs[0])
    before = content_of(tmp_path)
    with pytest.raises(
        DataError, match='would be written over, but it is an input; choose another'
    ):
        infer_tiny(inputs, out)
    assert content_of(tmp_path) == before


def test_neither_annotations_nor_checkpoints_are_written_over(infer_tiny, tiny_detector, tmp_path):  # noqa: F811
    ann_file = tmp_path / 'results.bbox.json'
    ann_file.write_bytes(tiny_detector.ann_file.read_bytes())
    with pytest.raises(DataError, match='is an input'):
        infer_tiny([str(tiny_detector.images)], tmp_path, ann_file=str(ann_file))
    assert ann_file.read_bytes() == tiny_detector.ann_file.read_bytes()


def test_no_two_results_go_to_one_name(infer_tiny, tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    for path in (one / 'a.png', two / 'a.png', one / 'A.PNG', one / 'a.jpg', one / 'b.gif'):
        picture(path, size=(96, 64))
    picture(one / 'b.gif.png', size=(96, 64))
    for suffix in ('mp4', 'avi', 'mkv'):
        video(one / f'clip.{suffix}', 2)
    again = [str(one / '..' / 'one' / 'a.png')]
    assert infer_tiny([str(one), str(two), str(one / 'b.gif'), *again], tmp_path / 'out') == []
    images = load(tmp_path / 'out', 'images.json')['images']
    assert len(images) == 6 + 3 * 2
    written = [path for path in (tmp_path / 'out').rglob('*') if path.parent.name in ('one', 'two')]
    assert len({str(path).lower() for path in written}) == 9
    for path in written:
        frames = 0
        capture = cv2.VideoCapture(str(path))
        while 'videos' in path.parts and capture.read()[0]:
            frames += 1
        assert frames == (2 if 'videos' in path.parts else 0)


def write_like(tiny, tmp_path, meta=None, **model):
    """Write a checkpoint of the tiny detector with some of its model changed."""
    config = Config.fromfile(tiny.config)
    config.merge_from_dict({f'model.{key.replace("__", ".")}': v for key, v in model.items()})
    return write_checkpoint(config, tmp_path / 'other.pth', **(meta or {}))


def test_classes_come_from_the_config_if_the_checkpoint_names_none(tiny_detector, tmp_path):  # noqa: F811
    checkpoint = write_like(tiny_detector, tmp_path)
    assert tuple(Detector(tiny_detector.config, checkpoint, 'cpu').classes) == ('disc', 'box')


def test_checkpoints_that_do_not_fit(tiny_detector, tmp_path):  # noqa: F811
    def error(checkpoint):
        with pytest.raises(CheckpointError) as info:
            Detector(tiny_detector.config, checkpoint, 'cpu')
        assert '\n' not in str(info.value)
        return str(info.value)

    heads = dict(roi_head__bbox_head__num_classes=3, roi_head__mask_head__num_classes=3)
    classes = dict(dataset_meta=dict(classes=('a', 'b', 'c')))
    message = error(write_like(tiny_detector, tmp_path, classes, **heads))
    assert 'detects 2 classes' in message and '3 (a, b, c)' in message
    assert 'unfilled' in error(write_like(tiny_detector, tmp_path, **heads))
    assert 'names 3 (a, b, c)' in error(write_like(tiny_detector, tmp_path, classes))
    resnet = write_like(
        tiny_detector, tmp_path, backbone=dict(_delete_=True, type='ResNet', depth=50)
    )
    assert 'another architecture' in error(resnet)
    assert 'does not exist' in error('absent.pth')
    (tmp_path / 'torn.pth').write_bytes(b'torn')
    assert 'damaged' in error(str(tmp_path / 'torn.pth'))


@pytest.mark.parametrize(
    ('changed', 'kind', 'words'),
    [
        (dict(config='absent-config'), ConfigError, 'there is no config'),
        (dict(checkpoint='absent.pth'), CheckpointError, 'does not exist'),
        (dict(inputs='absent.jpg'), DataError, 'does not exist'),
        (dict(device='cuda:99'), ConfigError, 'cannot be used'),
        (dict(score_thr=3), ConfigError, 'from 0 to 1'),
        (dict(batch_size=0), ConfigError, 'at least 1'),
    ],
)
def test_wrong_arguments(tiny_detector, changed, kind, words):  # noqa: F811
    given = dict(
        inputs=tiny_detector.images,
        config=tiny_detector.config,
        checkpoint=tiny_detector.checkpoint,
        device='cpu',
    )
    with pytest.raises(kind, match=words) as info:
        epsanet_mmdet.infer(**{**given, **changed})
    assert isinstance(info.value, UserError) and '\n' not in str(info.value)


def command(*arguments):
    tool = configs_dir().parent / 'tools' / 'infer.py'
    return [sys.executable, str(tool), *map(str, arguments)]


def run_tool(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True)


def test_tool(tiny_detector, tmp_path):  # noqa: F811
    (tmp_path / '\x1b[31mempty.jpg').touch()
    inputs = [tiny_detector.images / 'picture 1.png', tmp_path / '\x1b[31mempty.jpg']
    options = ['--out-dir', tmp_path / 'out', '--device', 'cpu', '--score-thr', '0.1']
    done = run_tool(tiny_detector.config, tiny_detector.checkpoint, *inputs, *options)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith('note: 1 inputs were skipped: ')
    assert '\\x1b[31mempty.jpg: empty file' in done.stderr
    assert '\x1b[31m' not in done.stdout + done.stderr
    assert 'Detecting' in done.stderr
    assert load(tmp_path / 'out', 'results.bbox.json')
    done = run_tool(tiny_detector.config, 'absent.pth', *inputs)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: checkpoint 'absent.pth' does not exist")
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_tool_leaves_whole_files(tiny_detector, tmp_path, number):  # noqa: F811
    out = tmp_path / 'out'
    clip = video(tmp_path / 'clip.mp4', 3000)
    arguments = [tiny_detector.config, tiny_detector.checkpoint, clip, '--out-dir', out]
    arguments += ['--device', 'cpu', '--score-thr', '0.1']
    with subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True) as process:
        reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
        lines = []
        reader.start()
        enough = time.monotonic() + 200
        while not (out / 'images.json').exists() or len(load(out, 'images.json')['images']) < 99:
            assert process.poll() is None and time.monotonic() < enough
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(30)
        reader.join(30)
    images = load(out, 'images.json')['images']
    assert 99 <= len(images) < 3000
    truth = COCO(str(out / 'images.json'))
    results = truth.loadRes(str(out / 'results.segm.json'))
    capture = cv2.VideoCapture(str(out / 'videos' / f'clip{video_suffix()}'))
    frames = 0
    while capture.read()[0]:
        frames += 1
    assert process.returncode == 128 + number
    line = f"interrupted after {len(images)} pictures; their results are in '{out}'"
    assert lines[-1].strip() == line and 'Traceback' not in ''.join(lines)
    assert frames == len(images)
    assert results.getImgIds() == truth.getImgIds()
    with open(out / 'results.csv', encoding='utf-8') as file:
        assert sum(1 for _ in csv.DictReader(file)) == len(results.anns)
