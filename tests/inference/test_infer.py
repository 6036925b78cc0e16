"""Whatever is wrong with an input or an argument is one line, and the other inputs are used."""

import json

import pytest
from media import picture
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector, reuse_detector  # noqa: F401
from tool_process import run_tool

import epsanet_mmdet
from epsanet_mmdet.errors import CheckpointError, ConfigError, DataError, UserError


def load(folder, name):
    return json.loads((folder / name).read_text(encoding='utf-8'))


def test_bad_images_are_named_and_skipped(infer_tiny, tmp_path):
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


def test_an_output_folder_that_cannot_be_written_is_named(infer_tiny, tmp_path, monkeypatch):
    inputs = [picture(tmp_path / 'a.png', size=(96, 64))]
    (tmp_path / 'file').touch()
    with pytest.raises(DataError, match='cannot be written'):
        infer_tiny(inputs, tmp_path / 'file')

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('epsanet_mmdet.inference.outputs.OutputFolder.add', full)
    with pytest.raises(DataError, match='No space left'):
        infer_tiny(inputs, tmp_path / 'out')


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
def test_a_wrong_argument_is_named_in_one_line(tiny_detector, changed, kind, words):  # noqa: F811
    given = dict(
        inputs=tiny_detector.images,
        config=tiny_detector.config,
        checkpoint=tiny_detector.checkpoint,
        device='cpu',
    )
    with pytest.raises(kind, match=words) as info:
        epsanet_mmdet.infer(**{**given, **changed})
    assert isinstance(info.value, UserError) and '\n' not in str(info.value)


def test_the_tool_prints_one_line_for_each_failure(tiny_detector, tmp_path):  # noqa: F811
    (tmp_path / '\x1b[31mempty.jpg').touch()
    inputs = [tiny_detector.images / 'picture 1.png', tmp_path / '\x1b[31mempty.jpg']
    options = ['--out-dir', tmp_path / 'out', '--device', 'cpu', '--score-thr', '0.1']
    done = run_tool('infer.py', tiny_detector.config, tiny_detector.checkpoint, *inputs, *options)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith('note: 1 skipped: ')
    assert '\\x1b[31mempty.jpg: empty file' in done.stderr
    assert '\x1b[31m' not in done.stdout + done.stderr
    assert 'Detecting' in done.stderr
    assert 'WARNING' not in done.stdout + done.stderr
    assert load(tmp_path / 'out', 'results.bbox.json')
    done = run_tool('infer.py', tiny_detector.config, 'absent.pth', *inputs)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: checkpoint 'absent.pth' does not exist")
    assert 'Traceback' not in done.stderr
