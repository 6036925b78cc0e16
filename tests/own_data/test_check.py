"""The check prints its findings, exits with a status, and copes with hostile and large data."""

import json
import os
import re

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from small_data import coco_content, write_coco, write_json
from tool_process import run_tool

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.own_data.check import run_check
from epsanet_mmdet.own_data.lint import decoding
from epsanet_mmdet.own_data.lint.run import check_dataset
from epsanet_mmdet.utils.images import read_image


def test_the_status_is_1_with_errors_and_0_without(tmp_path, capsys):
    root = write_coco(tmp_path / 'data', 5, 2)
    assert run_check([str(root)]) == 0
    assert '0 errors' in capsys.readouterr().out
    (root / 'images' / 'im 3.png').unlink()
    assert run_check([str(root)], fix=str(tmp_path / 'fixed')) == 1
    out = capsys.readouterr().out
    assert 'missing-image (1)' in out and 'image 3 (im 3.png)' in out
    assert 'missing-image: left out with its annotations' in out
    assert run_check([str(tmp_path / 'fixed')]) == 0
    with pytest.raises(DataError, match='not an empty folder'):
        run_check([str(root)], fix=str(root))


def test_a_wrong_command_line_has_status_2():
    result = run_tool('check_dataset.py', 'data', '--limit', 'x')
    assert result.returncode == 2 and 'usage: ' in result.stderr


def test_the_docs_list_every_kind_of_finding():
    package = ROOT / 'epsanet_mmdet'
    sources = [path.read_text(encoding='utf-8') for path in package.rglob('*.py')]
    kinds = set()
    for level in ('error', 'warning'):
        kinds |= set(re.findall(rf"\b{level}\(\s*'([a-z-]+)'", '\n'.join(sources)))
    page = (ROOT / 'docs' / 'own_data.md').read_text(encoding='utf-8')
    assert len(kinds) > 40 and {kind for kind in kinds if f'`{kind}`' not in page} == set()


def test_names_in_the_data_are_text_on_the_page(tmp_path):
    content = coco_content(tmp_path / 'images', 3)
    content['categories'][0]['name'] = '<script>alert(1)</script>'
    content['annotations'][0]['bbox'] = ['<img src=x onerror=alert(1)>']
    write_json(tmp_path / 'train.json', content)
    run_check([str(tmp_path / 'train.json')], page=str(tmp_path / 'new' / 'page.html'))
    page = (tmp_path / 'new' / 'page.html').read_text(encoding='utf-8')
    assert '<script>alert' not in page and '<img src=x' not in page
    assert '&lt;script&gt;' in page and page.count('data:image/jpeg') == 3
    assert 'http:' not in page and 'https:' not in page


def test_file_names_may_be_any_bytes(tmp_path):
    root = write_coco(tmp_path / 'data', 3)
    os.rename(root / 'images' / 'im 1.png', os.fsencode(root / 'images') + b'/\xff.png')
    content = json.loads((root / 'annotations' / 'train.json').read_text(encoding='utf-8'))
    content['images'][0]['file_name'] = os.fsdecode(b'\xff.png')
    write_json(root / 'annotations' / 'train.json', content)
    run_check([str(root)], page=str(tmp_path / 'page.html'), fix=str(tmp_path / 'fixed'))


def crash_at_the_second(path):
    if path.endswith('im 2.png'):
        os._exit(1)
    return read_image(path)


def test_a_crashing_decoder_is_reported_as_a_fault_of_its_image(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, 'read_image', crash_at_the_second)
    paths = [str(tmp_path / f'im {number}.png') for number in (1, 2, 3)]
    coco_content(tmp_path, 3)
    facts = decoding.read_images(paths)
    assert [facts[path].fault for path in paths] == [
        None,
        'cannot be decoded: the decoder crashed',
        None,
    ]


def test_a_hundred_thousand_annotations_are_checked(tmp_path):
    """Of 40 MB, with a fault in every tenth."""
    Image.fromarray(np.zeros((480, 640, 3), np.uint8)).save(tmp_path / 'a.png')
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    circle = np.stack([100 + 50 * np.cos(angles), 100 + 50 * np.sin(angles)], 1)
    polygon = [circle.round(2).ravel().tolist()]
    annotations = [
        dict(
            id=number,
            image_id=1,
            category_id=1 if number % 10 else 9,
            bbox=[50, 50, 100, 100],
            area=7854.0,
            segmentation=polygon,
            iscrowd=0,
        )
        for number in range(1, 100_001)
    ]
    images = [dict(id=1, file_name='a.png', width=640, height=480)]
    categories = [dict(id=1, name='circle')]
    content = dict(images=images, annotations=annotations, categories=categories)
    write_json(tmp_path / 'train.json', content)
    data = check_dataset([str(tmp_path)])
    assert len(data.findings.of('error')['unknown-category']) == 10_000
    assert len(data.splits[0].annotations) == 90_000
