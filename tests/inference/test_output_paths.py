"""Every result has a path of its own, and no input is overwritten."""

import json
import os

import pytest
from media import count_frames_of, picture, video
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector, reuse_detector  # noqa: F401

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.inference.videos import video_suffix


def content_of(folder):
    return {
        path: (path.is_symlink(), path.read_bytes()) for path in folder.rglob('*') if path.is_file()
    }


@pytest.mark.parametrize('kind', ['file', 'symlink', 'hard link', 'folder link', 'video'])
def test_no_input_is_overwritten(infer_tiny, tmp_path, kind):
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
    with pytest.raises(DataError, match='would be overwritten, but it is an input; choose another'):
        infer_tiny(inputs, out)
    assert content_of(tmp_path) == before


def test_no_annotation_file_is_overwritten(infer_tiny, tiny_detector, tmp_path):  # noqa: F811
    ann_file = tmp_path / 'results.bbox.json'
    ann_file.write_bytes(tiny_detector.ann_file.read_bytes())
    with pytest.raises(DataError, match='is an input'):
        infer_tiny([str(tiny_detector.images)], tmp_path, ann_file=str(ann_file))
    assert ann_file.read_bytes() == tiny_detector.ann_file.read_bytes()


def test_paths_differ_even_without_case_and_extension(infer_tiny, tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    for path in (one / 'a.png', two / 'a.png', one / 'A.PNG', one / 'a.jpg', one / 'b.gif'):
        picture(path, size=(96, 64))
    picture(one / 'b.gif.png', size=(96, 64))
    for suffix in ('mp4', 'avi', 'mkv'):
        video(one / f'clip.{suffix}', 2)
    again = [str(one / '..' / 'one' / 'a.png')]
    assert infer_tiny([str(one), str(two), str(one / 'b.gif'), *again], tmp_path / 'out') == []
    images = json.loads((tmp_path / 'out' / 'images.json').read_text(encoding='utf-8'))['images']
    assert len(images) == 6 + 3 * 2
    written = [path for path in (tmp_path / 'out').rglob('*') if path.parent.name in ('one', 'two')]
    assert len({str(path).lower() for path in written}) == 9
    videos = [path for path in written if 'videos' in path.parts]
    assert [count_frames_of(path) for path in videos] == [2, 2, 2]
