"""Untrusted text cannot break a one-line message or XML, and is no formula in CSV."""

import csv
import shutil
from xml.etree import ElementTree

import pytest
from tiny_detector import tiny_detector, write_checkpoint  # noqa: F401

from epsanet_mmdet.config.load import load_config
from epsanet_mmdet.inference import infer_to_folder
from epsanet_mmdet.utils.text import csv_row, printable, xml_text

HOSTILE = 'A\x1b[2J\x1b]0;owned\x07\x9b31m\x1b[8mB\r\b\x7f\x00\u202eC\n999 errors'
FORMULAS = [
    '=1+1',
    '=HYPERLINK("http://example.org/?"&A1,"see")',
    '+1+1',
    "-2+3+cmd|' /C calc'!A1",
    '@SUM(1+1)*cmd',
    '\t=1+1',
    '\r=1+1',
    '\n=1+1',
    '-1',
]


@pytest.mark.parametrize('text', FORMULAS)
def test_text_that_would_be_a_formula_gets_an_apostrophe(text):
    assert csv_row([text, 'cat']) == ["'" + text, 'cat']


@pytest.mark.parametrize('value', ['cat', '', 'a=b', ' =1', "'=1", 1, -1, -0.5, float('-inf')])
def test_other_text_and_numbers_are_unchanged(value):
    assert csv_row([value]) == [value]


def test_the_table_of_inference_has_no_formula(tiny_detector, tmp_path):  # noqa: F811
    classes = tuple(FORMULAS[1:3])
    config = load_config(tiny_detector.config)
    checkpoint = write_checkpoint(
        config, tmp_path / 'a.pth', dataset_meta=dict(classes=classes, palette=None)
    )
    (tmp_path / 'pictures').mkdir()
    source = next(tiny_detector.images.iterdir())
    for name in ('=1+1.png', '-2+3.png', '@A1.png'):
        shutil.copy(source, tmp_path / 'pictures' / name)
    infer_to_folder(
        [str(tmp_path / 'pictures')],
        tiny_detector.config,
        checkpoint,
        str(tmp_path / 'out'),
        score_thr=0.0,
        device='cpu',
    )
    with open(tmp_path / 'out' / 'results.csv', newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert {row['image'] for row in rows} == {"'=1+1.png", "'-2+3.png", "'@A1.png"}
    assert {row['class'] for row in rows} <= {f"'{name}" for name in classes}
    assert len(rows) > 3
    assert all(float(row['score']) >= 0 and float(row['x1']) >= 0 for row in rows)


@pytest.mark.parametrize('text', [HOSTILE, HOSTILE * 20, '\r' + HOSTILE, '\ud800\udfff', 'a\x85b'])
def test_printable_text_is_one_short_line(text):
    shown = printable(text)
    assert shown.isprintable() and len(shown) <= 80


def test_printable_text_keeps_letters_of_all_scripts():
    text = 'Bälle 箱\u3000子 किताब كتاب עברית 😀 a\xa0b'
    assert printable(text) == text


@pytest.mark.parametrize(
    'text', ['a\x00b', '\x1b[1m', '\ud800', '\ufffe', '\x0b<&>', 'ä人 \n\t\U0001f600']
)
def test_any_text_fits_into_xml(text):
    element = ElementTree.Element('a', b=xml_text(text))
    assert ElementTree.fromstring(ElementTree.tostring(element)).get('b') == xml_text(text)
    assert xml_text('ä人 \n\t\U0001f600') == 'ä人 \n\t\U0001f600'
