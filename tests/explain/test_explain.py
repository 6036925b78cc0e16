"""``epsanet explain`` writes a page, heat maps and a table, and names what is wrong in one line."""

import csv
import re
import signal

import cv2
import numpy as np
import pytest
import torch
from drawn_page import Drawn
from media import picture, video
from one_line import error_line
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector  # noqa: F401
from tool_process import run_tool

from epsanet_mmdet.errors import ArgumentError, CheckpointError, ConfigError, DataError
from epsanet_mmdet.explain import explain_to_folder
from epsanet_mmdet.explain.summary import GROUPS
from epsanet_mmdet.inference import infer
from epsanet_mmdet.utils.images import load_image


@pytest.fixture(name='explain')
def reuse_detector(tiny_detector, detector, monkeypatch):  # noqa: F811
    """Return ``explain_to_folder`` with the detector already loaded."""
    monkeypatch.setattr('epsanet_mmdet.explain.run.Detector', lambda *_: detector)

    def run(inputs, out_dir, **options):
        options = {'score_thr': 0.1, **options}
        given = tiny_detector.config, tiny_detector.checkpoint, str(out_dir)
        return explain_to_folder(inputs, *given, **options)

    return run


def rows_of(folder):
    with open(folder / 'scales.csv', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_the_folder_has_a_page_heat_maps_and_a_table(explain, tiny_detector, tmp_path):  # noqa: F811
    out = tmp_path / 'out'
    assert explain([str(tiny_detector.images)], out, objects=2) == []
    page = (out / 'index.html').read_text(encoding='utf-8')
    found = infer(
        str(tiny_detector.images), tiny_detector.config, tiny_detector.checkpoint, 0.1, device='cpu'
    )
    shown = iter(Drawn(page.split('<section>')[1]).objects)
    for image in found:
        wanted = [[round(float(v), 1) for v in box] for box in image.boxes]
        wanted = [[x, y, round(r - x, 1), round(b - y, 1)] for x, y, r, b in wanted]
        boxes = np.array([shape['box'] for shape in next(shown)])
        np.testing.assert_allclose(boxes, wanted, atol=0.21)
        for box in wanted[:2]:
            (one,) = next(shown)
            np.testing.assert_allclose(one['box'], box, atol=0.21)
        folder = out / 'pictures' / image.name
        assert sorted(p.name for p in folder.iterdir()) == ['object-1.jpg', 'object-2.jpg']
        assert cv2.imread(str(folder / 'object-1.jpg')).shape == (64, 96, 3)
    assert next(shown, None) is None
    objects = sum(map(len, found))
    rows = rows_of(out)
    assert {row['pooled_over'] for row in rows} <= set(GROUPS)
    blocks = {row['layer'] for row in rows}
    assert len(blocks) == 16
    for block in blocks:
        own = [row for row in rows if row['layer'] == block]
        whole = [row for row in own if row['pooled_over'] == 'whole image']
        assert [row['kernel_size'] for row in whole] == ['3', '5', '7', '9']
        assert sum(float(row['mean_weight']) for row in whole) == pytest.approx(1, abs=1e-4)
        counts = {row['pooled_over']: int(row['count']) for row in own}
        assert counts.pop('whole image') == 4 and sum(counts.values()) == objects


def test_weights_of_the_whole_image_are_those_in_the_detector(
    explain,
    detector,
    tiny_detector,  # noqa: F811
    tmp_path,
):
    path = tiny_detector.images / 'picture 1.png'
    explain([str(path)], tmp_path / 'out')
    data = detector.pipeline(dict(img=load_image(str(path)), img_id=0))
    inputs = detector.model.data_preprocessor(detector.collate_fn([data]), False)['inputs']
    psa, kept = detector.model.backbone.layer3[2].conv2, []
    handle = psa.se.register_forward_hook(lambda *arguments: kept.append(arguments[2]))
    with torch.no_grad():
        detector.model.backbone(inputs)
    handle.remove()
    expected = kept[0].sigmoid().softmax(0).mean((1, 2, 3)).flip(0)
    rows = [r for r in rows_of(tmp_path / 'out') if r['layer'] == 'backbone.layer3.2.conv2']
    whole = [float(r['mean_weight']) for r in rows if r['pooled_over'] == 'whole image']
    np.testing.assert_allclose(whole, expected, atol=2e-5)


def test_attention_is_averaged_over_images_without_heat_maps_too(
    explain,
    tiny_detector,  # noqa: F811
    tmp_path,
):
    explain([str(tiny_detector.images)], tmp_path / 'out', pictures=1, objects=1)
    assert len(list((tmp_path / 'out' / 'pictures').rglob('*.jpg'))) == 1
    counts = {row['count'] for row in rows_of(tmp_path / 'out') if 'whole' in row['pooled_over']}
    assert counts == {'4'}


def test_an_image_without_objects_has_no_heat_map(explain, tiny_detector, tmp_path):  # noqa: F811
    path = str(tiny_detector.images / 'picture 1.png')
    explain([path], tmp_path / 'out', score_thr=1)
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert '<figcaption><span>0 objects</span></figcaption>' in page
    assert not list((tmp_path / 'out').rglob('*.jpg'))
    assert {row['pooled_over'] for row in rows_of(tmp_path / 'out')} == {'whole image'}


def test_bad_images_are_named_and_skipped(explain, tmp_path, capsys):
    inputs = tmp_path / 'in'
    for name, mode in (('<i>ä.png', 'I;16'), ('c.jpg', 'CMYK')):
        picture(inputs / name, mode, (96, 64))
    picture(inputs / 'thin.png', 'L', (3000, 1))
    (inputs / 'empty.png').touch()
    faults = explain([str(inputs)], tmp_path / 'out')
    assert sorted(fault.split('/')[-1] for fault in faults) == [
        'empty.png: empty file',
        "thin.png: cannot be resized to the config's image scale",
    ]
    page = (tmp_path / 'out' / 'index.html').read_text(encoding='utf-8')
    assert '&lt;i&gt;ä.png' in page and '2 images' in page
    assert 'skipped: ' in capsys.readouterr().err
    bad = [str(inputs / 'empty.png')]
    assert 'empty.png: empty file' in error_line(DataError, explain, bad, tmp_path / 'none')


def test_an_earlier_run_is_replaced_and_inputs_never_are(explain, tiny_detector, tmp_path):  # noqa: F811
    out = tmp_path / 'out'
    image = str(tiny_detector.images / 'picture 1.png')
    explain([image], out)
    before = (out / 'index.html').read_bytes()
    explain([image], out)
    assert (out / 'index.html').read_bytes() == before
    inside = picture(out / 'mine.png', size=(96, 64))
    (tmp_path / 'link.png').symlink_to(inside)
    for path in (inside, str(tmp_path / 'link.png')):
        assert 'is in the output folder' in error_line(DataError, explain, [path], out)


@pytest.mark.parametrize(
    ('changed', 'kind', 'words'),
    [
        (dict(config='absent-config'), ConfigError, 'there is no config'),
        (dict(checkpoint='absent.pth'), CheckpointError, 'does not exist'),
        (dict(inputs=['absent.jpg']), DataError, 'does not exist'),
        (dict(device='cuda:99'), ConfigError, 'cannot be used'),
        (dict(score_thr=3), ConfigError, 'from 0 to 1'),
        (dict(objects=0), ConfigError, 'at least 1'),
        (dict(pictures=-1), ConfigError, 'at least 1'),
        (dict(method='x'), ConfigError, 'choose one of hirescam, grad-cam'),
        (dict(layer='backbone.layer9'), ArgumentError, 'did you mean'),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(tiny_detector, tmp_path, changed, kind, words):  # noqa: F811
    given = dict(
        inputs=[str(tiny_detector.images)],
        config=tiny_detector.config,
        checkpoint=tiny_detector.checkpoint,
        out_dir=str(tmp_path / 'out'),
        device='cpu',
    )
    assert words in error_line(kind, explain_to_folder, **{**given, **changed})
    if 'layer' not in changed:  # which is only known to be wrong in an image
        assert not (tmp_path / 'out').exists()


def test_a_video_and_a_file_as_the_output_folder_are_refused(explain, tmp_path):
    clip = video(tmp_path / 'clip.mp4')
    assert 'is a video' in error_line(DataError, explain, [clip], tmp_path / 'out')
    (tmp_path / 'file').touch()
    image = picture(tmp_path / 'a.png', size=(96, 64))
    assert 'is not a folder' in error_line(DataError, explain, [image], tmp_path / 'file')


@pytest.mark.parametrize(
    ('number', 'kind'), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_an_interrupted_run_keeps_what_is_done(
    explain,
    tiny_detector,  # noqa: F811
    tmp_path,
    monkeypatch,
    number,
    kind,
):
    from epsanet_mmdet.explain import run

    original = run.explain_image

    def interrupted(*args):
        signal.raise_signal(number)
        return original(*args)

    monkeypatch.setattr(run, 'explain_image', interrupted)
    with pytest.raises(kind):
        explain([str(tiny_detector.images)], tmp_path / 'out')
    page = (tmp_path / 'out' / 'index.html').read_text(encoding='utf-8')
    assert re.search(r'<p>.*: 1 image, ', page)


def test_the_tool_prints_where_it_wrote_and_one_line_of_an_error(tiny_detector, tmp_path):  # noqa: F811
    config = tiny_detector.config
    image, out = str(tiny_detector.images / 'picture 1.png'), str(tmp_path / 'out')
    options = ['--out-dir', out, '--device', 'cpu', '--score-thr', '0.1', '--method', 'grad-cam']
    done = run_tool('explain.py', config, tiny_detector.checkpoint, image, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f'Written to {out}'
    assert (tmp_path / 'out' / 'index.html').is_file()
    done = run_tool('explain.py', config, 'absent.pth', image)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: checkpoint 'absent.pth' does not exist")
