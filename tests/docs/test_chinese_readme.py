"""The Chinese README has the headings, code, links, figures and tables of the English one."""

import re
from pathlib import Path
from typing import Callable, List

import pytest
from conftest import ROOT
from documents import code_blocks

ENGLISH, CHINESE = ROOT / 'README.md', ROOT / 'README.zh-CN.md'


def headings(page: Path) -> List[int]:
    return [len(marks) for marks in re.findall(r'^(#+) ', page.read_text(), re.MULTILINE)]


def links(page: Path) -> List[str]:
    """Return all addresses but that of the other language, sorted: word order differs."""
    return sorted(
        set(re.findall(r'\]\(([^)]+)\)', page.read_text())) - {ENGLISH.name, CHINESE.name}
    )


def inline_code(page: Path) -> List[str]:
    text = re.sub('^```.*?^```$', '', page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return sorted(set(re.findall('`([^`]+)`', text)))


def figures(page: Path) -> List[str]:
    """Return the numbers with a decimal point, which are measured or published."""
    return sorted(re.findall(r'\d+\.\d+', page.read_text()))


def table_rows(page: Path) -> List[int]:
    return [line.count('|') for line in page.read_text().splitlines() if line.startswith('|')]


def paragraphs(page: Path) -> int:
    return len(re.split(r'\n\n+', page.read_text().strip()))


@pytest.mark.parametrize(
    'part',
    [headings, code_blocks, links, inline_code, figures, table_rows, paragraphs],
    ids=lambda part: part.__name__,
)
def test_both_have_the_same(part: Callable):
    assert part(CHINESE) == part(ENGLISH)


def test_each_links_to_the_other():
    assert f']({CHINESE.name})' in ENGLISH.read_text()
    assert f']({ENGLISH.name})' in CHINESE.read_text()
