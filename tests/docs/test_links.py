"""Every relative link of the documentation leads to a file, and to a heading of it."""

import json
import re
from pathlib import Path
from typing import Set
from urllib.parse import unquote

import pytest
from conftest import ROOT
from documents import PAGES, name_of

NOTEBOOKS = sorted((ROOT / 'docs').rglob('*.ipynb'))
SOURCES = [*PAGES, *(ROOT / name for name in ('README.zh-CN.md', 'CONTRIBUTING.md')), *NOTEBOOKS]


def text_of(source: Path) -> str:
    if source.suffix != '.ipynb':
        return source.read_text()
    cells = json.loads(source.read_text())['cells']
    return '\n'.join(''.join(cell['source']) for cell in cells if cell['cell_type'] == 'markdown')


def anchors(page: Path) -> Set[str]:
    """Return the anchors that GitHub makes of headings."""
    titles = re.findall(r'^#+ (.+)$', page.read_text(), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', title.lower()).strip().replace(' ', '-') for title in titles}


@pytest.mark.parametrize('source', SOURCES, ids=map(name_of, SOURCES))
def test_the_links_of_a_page_lead_somewhere(source):
    for link in re.findall(r'\]\(([^)\s]+)\)', text_of(source)):
        if '://' in link:
            continue
        file, _, anchor = link.partition('#')
        target = source.parent / unquote(file) if file else source
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
