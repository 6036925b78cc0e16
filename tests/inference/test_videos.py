"""Videos play in browsers, even if the process that wrote them was killed."""

import os
import signal
import sys

import cv2
import numpy as np
import pytest
from forked import fork

from epsanet_mmdet.inference import videos
from epsanet_mmdet.inference.videos import VideoFile, video_suffix

BROWSERS_PLAY = dict(h264='avc1', vp8='VP80')  # with yuv420p


@pytest.fixture(params=['h264', 'vp8'])
def codec(request, monkeypatch):
    if request.param == 'h264' and videos.av is None:
        pytest.skip("needs PyAV: pip install 'av>=14'")
    if request.param == 'vp8':
        monkeypatch.setattr(videos, 'av', None)
    return request.param


def scene(i, size=(96, 128)):
    picture = np.full((*size, 3), (40, 90, 200), np.uint8)
    cv2.circle(picture, (2 * i % size[1], size[0] // 2), size[0] // 4, (200, 220, 30), -1)
    return picture


def write(folder, pictures, fps=25.0):
    path = folder / f'clip{video_suffix()}'
    video = VideoFile(path, pictures[0].shape[:2], fps)
    for picture in pictures:
        video.write(picture)
    video.close()
    return path


def read(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        is_read, frame = capture.read()
        if not is_read:
            return capture, frames
        frames.append(frame)


def test_the_codec_is_one_that_browsers_play(codec, tmp_path):
    path = write(tmp_path, [scene(i) for i in range(30)])
    capture, frames = read(path)
    fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little').decode()
    assert fourcc in (BROWSERS_PLAY[codec], dict(h264='h264', vp8='VP80')[codec])
    pixels = int(capture.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)).to_bytes(4, 'little').decode()
    assert pixels == 'I420'  # yuv420p
    assert path.suffix == dict(h264='.mp4', vp8='.webm')[codec]
    assert len(frames) == capture.get(cv2.CAP_PROP_FRAME_COUNT) == 30
    assert capture.get(cv2.CAP_PROP_FPS) == 25
    for i, frame in enumerate(frames):
        assert cv2.PSNR(frame, scene(i)) > 25


@pytest.mark.parametrize('size', [(1, 1), (3, 5), (16, 16), (95, 127), (1, 300)])
@pytest.mark.parametrize('fps', [0.01, 10, 29.97, 90000])
def test_frames_of_any_size_and_rate_are_written(codec, size, fps, tmp_path):
    capture, frames = read(write(tmp_path, [scene(i, size) for i in range(3)], fps))
    assert len(frames) == 3
    assert all(found >= wanted for found, wanted in zip(frames[0].shape, size))
    assert abs(capture.get(cv2.CAP_PROP_FPS) - min(max(fps, 1), 240)) < 0.01
    assert abs(int(frames[0][0, 0].mean()) - int(scene(0, size)[0, 0].mean())) < 30


def test_frames_are_resized_to_the_size_of_the_video(codec, tmp_path):
    _, frames = read(write(tmp_path, [scene(0), scene(1, (48, 64)), scene(2, (200, 100))]))
    assert [frame.shape for frame in frames] == [(96, 128, 3)] * 3


def test_a_video_is_not_written_through_a_link(codec, tmp_path):
    (tmp_path / 'precious').write_text('precious')
    (tmp_path / f'clip{video_suffix()}').symlink_to(tmp_path / 'precious')
    assert len(read(write(tmp_path, [scene(0)]))[1]) == 1
    assert (tmp_path / 'precious').read_text() == 'precious'


def test_a_video_in_a_missing_folder_raises_an_os_error(codec, tmp_path):
    with pytest.raises(OSError):
        VideoFile(tmp_path / 'absent' / f'clip{video_suffix()}', (96, 128), 25)


def test_the_video_of_a_killed_process_plays(codec, tmp_path):
    path = tmp_path / f'clip{video_suffix()}'

    def write_on():
        video = VideoFile(path, (240, 320), 10)
        random = np.random.default_rng(0)
        for _ in range(200):
            video.write(random.integers(0, 256, (240, 320, 3), np.uint8))
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(write_on) == -signal.SIGKILL
    _, frames = read(path)
    assert 100 < len(frames) <= 200


def test_opencv_prints_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(videos, 'av', None)
    write(tmp_path, [scene(0)])
    print('still there', file=sys.stderr)
    assert capfd.readouterr().err == 'still there\n'
