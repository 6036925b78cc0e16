"""Objects are found once, and shown and saved above any threshold, as by ``epsanet infer``."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from media import picture, video
from one_line import error_line
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector, reuse_detector  # noqa: F401

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.serving.results import LOWEST, MOST, Results


@pytest.fixture(name='files')
def list_files(tiny_detector):  # noqa: F811
    return sorted(map(str, tiny_detector.images.iterdir()))[:2]


def test_results_above_any_threshold_are_those_of_infer(detector, files, infer_tiny, tmp_path):
    results = Results(detector, files)
    scores = [score for _, sample in results.found for score in sample.pred_instances.scores]
    for threshold in (LOWEST, float(np.median(scores)), 1.0):
        out = tmp_path / str(threshold)
        infer_tiny(files, out, score_thr=threshold)
        with zipfile.ZipFile(results.save(threshold)) as saved:
            names = {name for name in saved.namelist() if not name.endswith('/')}
            written = {str(p.relative_to(out)): p for p in out.rglob('*') if p.is_file()}
            assert names == set(written)
            for name, path in written.items():
                assert saved.read(name) == path.read_bytes(), name
        entries = json.loads((out / 'results.bbox.json').read_text())
        rows, pictures = results.rows(threshold), results.pictures(threshold)
        assert [row[0] for row in rows] == [Path(file).name for file in files]
        assert sum(int(row[1]) for row in rows) == len(entries)
        assert [drawn.shape for drawn, _ in pictures] == [(64, 96, 3)] * 2
        assert all(f': {row[1]} object' in caption for row, (_, caption) in zip(rows, pictures))


def test_pictures_are_rgb(detector, tmp_path):
    red = picture(tmp_path / 'red.png', size=(96, 64), color=(255, 0, 0))
    (drawn, caption), *_ = Results(detector, [red]).pictures(1)
    assert (drawn == (255, 0, 0)).all() and caption == 'red.png: 0 objects'


def test_a_file_that_is_no_image_has_its_fault_and_no_picture(detector, files, tmp_path):
    (tmp_path / 'bad.jpg').write_bytes(b'')
    results = Results(detector, [files[0], str(tmp_path / 'bad.jpg')])
    assert results.rows(LOWEST)[1] == ['bad.jpg', '0', 'empty file']
    assert len(results.pictures(LOWEST)) == 1
    with zipfile.ZipFile(results.save(LOWEST)) as saved:
        assert 'pictures/bad.jpg' not in saved.namelist()


def test_progress_counts_images(detector, files):
    seen = []
    Results(detector, files, lambda *counts: seen.append(counts))
    assert seen == [(1, 2), (2, 2)]


def test_saved_files_are_removed_with_the_results(detector, files):
    results = Results(detector, files[:1])
    first, second = Path(results.save(LOWEST)), Path(results.save(LOWEST))
    assert not first.exists() and second.is_file()
    del results
    assert not second.parent.exists()


def test_too_many_files_and_videos_are_refused(detector, files, tmp_path):
    assert f'at most {MOST}' in error_line(DataError, Results, detector, files * MOST)
    clip = video(tmp_path / 'clip.mp4')
    assert 'drop pictures' in error_line(DataError, Results, detector, [clip])
