"""No name in a file controls the terminal, whichever tool prints it."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from conftest import ROOT
from mmengine.logging.logger import MMFormatter
from small_data import CLASSES, write_coco, write_voc, write_yolo
from termcolor import colored
from tiny_detector import tiny_detector  # noqa: F401

from epsanet_mmdet.utils.terminal import GuardedStream, guard_terminal, without_controls

BIDI = '\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069'
# Clears the screen, sets the title, starts a C1 sequence, hides text, overprints, reorders.
HOSTILE = 'A\x1b[2J\x1b]0;owned\x07\x9b31m\x1b[8mB\r\b\x7f\x00\u202eC\n999 errors'
CONTROLS = re.compile(rf'[\x00-\x08\x0b-\x1f\x7f-\x9f{BIDI}]')


def is_control(character: str) -> bool:
    kind = unicodedata.category(character)
    return (kind in ('Cc', 'Zl', 'Zp') and character not in '\t\n') or character in BIDI


def test_all_controls_and_no_other_characters_are_escaped():
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        shown = without_controls(f'a{character}b')
        if is_control(character):
            assert shown == f'a{ascii(character)[1:-1]}b'
        else:
            assert shown == f'a{character}b'


def test_letters_of_all_scripts_are_unchanged():
    text = 'Bälle 箱\u3000子 किताब كتاب עברית 😀 a\xa0b'
    assert without_controls(text) == text


@pytest.mark.parametrize('level', MMFormatter._color_mapping)
def test_only_the_levels_of_mmengines_log_are_coloured(level):
    colour = MMFormatter._color_mapping[level]
    prefix = colored(level, colour, attrs=['underline', 'blink'], force_color=True)
    out = io.StringIO()
    print(f'12:00 - {prefix} - class \x1b[31mred\x1b[0m', file=GuardedStream(out))
    assert out.getvalue() == f'12:00 - {prefix} - class \\x1b[31mred\\x1b[0m\n'
    assert '\x1b[' in prefix


def test_characters_that_the_encoding_lacks_are_escaped(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(raw, 'ascii'))
    guard_terminal()
    guard_terminal()  # twice must not hurt
    print('Bälle', '\udcff')
    sys.stdout.flush()
    assert raw.getvalue() == b'B\\xe4lle \\udcff\n'


def run(folder: Path, tool: str, *arguments, statuses=(0,)) -> str:
    result = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / tool), *map(str, arguments)],
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING='utf-8', FORCE_COLOR='1'),
        capture_output=True,
        timeout=300,
    )
    output = (result.stdout + result.stderr).decode()
    assert result.returncode in statuses, output[-3000:]
    return output


def assert_harmless(output: str) -> None:
    output = re.sub(r'\r(?=reading|\n|$)', '', output)  # the progress bar
    output = re.sub(r'(\x1b\[\d+m)+(INFO|WARNING|ERROR)\x1b\[0m', '', output)  # the log's levels
    found = CONTROLS.search(output)
    assert not found, output[max(0, found.start() - 100) : found.end() + 100]
    assert '\n999 errors' not in output


def write_hostile_coco(root: Path) -> Path:
    write_coco(root, 4, 2)
    shutil.copy(root / 'images' / 'im 2.png', root / 'images' / 'twin.png')
    for split in ('train', 'val'):
        path = root / 'annotations' / f'{split}.json'
        content = json.loads(path.read_text())
        image, other = content['images'][:2]
        name = HOSTILE.replace('\0', '') + f'{split}.png'
        (root / 'images' / image['file_name']).rename(root / 'images' / name)
        image['file_name'], other['file_name'] = name, f'{HOSTILE}.png'  # the latter is missing
        content['categories'][0]['name'] = HOSTILE
        content['categories'][1] = dict(id=HOSTILE, name=[HOSTILE])
        content['annotations'][0].update(id=HOSTILE, bbox=[HOSTILE], iscrowd=HOSTILE, area=HOSTILE)
        content['annotations'][1].update(image_id=HOSTILE, category_id=HOSTILE)
        content['annotations'][2].update(segmentation=dict(size=[HOSTILE, 3], counts=HOSTILE))
        path.write_text(json.dumps(content))
    return root


def write_hostile_yolo(root: Path) -> Path:
    write_yolo(root)
    settings = root / 'data.yaml'
    text = settings.read_text(encoding='utf-8').replace(CLASSES[0], json.dumps(HOSTILE))
    settings.write_text(text + f'path: {json.dumps(HOSTILE)}\ntest: {json.dumps(HOSTILE)}\n')
    name = HOSTILE.replace('\0', '')
    (root / 'images' / 'train' / '0.png').rename(root / 'images' / 'train' / f'{name}.png')
    (root / 'labels' / 'train' / '0.txt').rename(root / 'labels' / 'train' / f'{name}.txt')
    (root / 'labels' / 'train' / f'{name}.txt').write_text(f'0 {HOSTILE}\n')
    (root / 'images' / 'train' / '1.png').write_bytes(b'')
    return root


def write_hostile_voc(root: Path) -> Path:
    write_voc(root)
    name = HOSTILE.replace('\0', '')
    (root / 'Annotations' / '1.xml').rename(root / 'Annotations' / f'{name}.xml')
    # XML allows no C0 but line ends; the others are written as references
    allowed = ''.join(f'&#{ord(c)};' for c in HOSTILE if c >= ' ' or c in '\r\n')
    for path, old in ((f'{name}.xml', CLASSES[0]), ('2.xml', '2.jpg')):
        file = root / 'Annotations' / path
        file.write_text(file.read_text(encoding='utf-8').replace(old, allowed), encoding='utf-8')
    (root / 'Annotations' / '3.xml').write_text(f'<annotation><{allowed}')
    (root / 'ImageSets' / 'Main').mkdir(parents=True)
    stems = ''.join(f'{i}\n' for i in (2, 3, 4, 5, 6))
    (root / 'ImageSets' / 'Main' / 'train.txt').write_text(f'\x1b[2J\u202e\n{stems}')
    return root


@pytest.mark.parametrize('write', [write_hostile_coco, write_hostile_yolo, write_hostile_voc])
def test_names_in_a_checked_data_set_are_escaped(write, tmp_path):
    root = write(tmp_path / 'data')
    options = ['--limit', 0, '--fix', 'fixed', '--page', 'page.html']
    output = run(tmp_path, 'check_dataset.py', root, *options, statuses=(1,))
    assert 'x1b[2J' in output or 'x9b31m' in output
    assert_harmless(output)


def test_names_in_the_data_of_a_new_config_are_escaped(tmp_path):
    root = write_hostile_coco(tmp_path / 'data')
    options = ['--model', 'mask-rcnn_epsanet50-s', '--out', 'mine.py']
    assert_harmless(run(tmp_path, 'new_config.py', '--data', root, *options, statuses=(0, 1)))


@pytest.mark.parametrize('key', ['category_id', 'image_id'])
def test_ids_in_the_results_of_a_report_are_escaped(key, tiny_detector, tmp_path):  # noqa: F811
    entry = dict(image_id=10, category_id=3, score=0.5, bbox=[1, 1, 9, 9])
    results = tmp_path / 'results.json'
    results.write_text(json.dumps([{**entry, key: HOSTILE}]))
    inputs = ['--ann-file', tiny_detector.ann_file, '--images', tiny_detector.images]
    output = run(tmp_path, 'report.py', *inputs, '--results', results, statuses=(1,))
    assert 'error: ' in output and r'\x1b[2J' in output
    assert_harmless(output)


def test_class_names_in_a_test_and_its_log_are_escaped(tiny_detector, tmp_path):  # noqa: F811
    name = re.sub(r'[\r\n]', '', HOSTILE)  # which mmdet's table of classes cannot contain
    text = tiny_detector.ann_file.read_text().replace('"disc"', json.dumps(name))
    (tmp_path / 'annotations.json').write_text(text)
    data = dict(ann_file=str(tmp_path / 'annotations.json'), metainfo=dict(classes=(name, 'box')))
    config = tmp_path / 'mine.py'
    config.write_text(
        f'_base_ = {tiny_detector.config!r}\n'
        f'test_dataloader = dict(dataset={data!r})\n'
        f'test_evaluator = dict(ann_file={data["ann_file"]!r}, classwise=True)\n'
    )
    output = run(tmp_path, 'test.py', config, tiny_detector.checkpoint)
    assert 'bbox_mAP' in output and re.search(r'\| A\\x1b\[2J.*\|', output)
    assert_harmless(output)
