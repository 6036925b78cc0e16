"""After Ctrl-C or SIGTERM, the current batch is finished and all results are written."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT
from media import count_frames_of, picture, video
from pycocotools.coco import COCO
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector, reuse_detector  # noqa: F401

from epsanet_mmdet.inference.sources import read_frames
from epsanet_mmdet.inference.videos import video_suffix


def images_of(folder):
    return json.loads((folder / 'images.json').read_text(encoding='utf-8'))['images']


@pytest.mark.parametrize(
    ('number', 'kind'), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_the_current_batch_is_finished(infer_tiny, tmp_path, monkeypatch, number, kind, capsys):
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
    assert 'interrupted after 4 images; their results are in' in line
    assert kind is KeyboardInterrupt or info.value.code == 143
    assert len(images_of(tmp_path / 'out')) == 4
    assert len(list((tmp_path / 'out' / 'pictures').iterdir())) == 4


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_tool_leaves_complete_files(tiny_detector, tmp_path, number):  # noqa: F811
    out = tmp_path / 'out'
    clip = video(tmp_path / 'clip.mp4', 3000)
    command = [sys.executable, ROOT / 'tools' / 'infer.py']
    command += [tiny_detector.config, tiny_detector.checkpoint, clip, '--out-dir', out]
    command += ['--device', 'cpu', '--score-thr', '0.1']
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
        lines = []
        reader.start()
        enough = time.monotonic() + 200
        written = out / 'images.json'  # which can be read between two halves of an addition
        while not written.exists() or written.read_bytes().count(b'"file_name"') < 99:
            assert process.poll() is None and time.monotonic() < enough
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(30)
        reader.join(30)
    images = images_of(out)
    assert 99 <= len(images) < 3000
    truth = COCO(str(out / 'images.json'))
    results = truth.loadRes(str(out / 'results.segm.json'))
    assert process.returncode == 128 + number
    line = f"interrupted after {len(images)} images; their results are in '{out}'"
    assert lines[-1].strip() == line and 'Traceback' not in ''.join(lines)
    assert count_frames_of(out / 'videos' / f'clip{video_suffix()}') == len(images)
    assert results.getImgIds() == truth.getImgIds()
    with open(out / 'results.csv', encoding='utf-8') as file:
        assert sum(1 for _ in csv.DictReader(file)) == len(results.anns)
