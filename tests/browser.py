"""A headless browser, which draws HTML pages and reports what they load."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict

import cv2
import numpy as np
import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome')
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    '--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking '
    '--disable-component-update --disable-sync --hide-scrollbars --enable-logging=stderr'
).split()
POLICY = r'<meta http-equiv="Content-Security-Policy"[^>]*>'
FOUND = """<script>onload = () => {
  const answer = document.createElement('p');
  answer.textContent = JSON.stringify((() => { %s })());
  answer.id = 'found';
  document.body.append(answer);
}</script>"""
PROBE = """
  const size = box => box.width + box.height;
  const uses = [...document.querySelectorAll('use')].filter(u => !size(u.getBBox()));
  const loaded = performance.getEntriesByType('resource').map(e => e.name);
  const empty = [...document.querySelectorAll('td, tbody th')].filter(c => !c.textContent.trim());
  const column = n => [...document.querySelectorAll('table.sortable')[0].tBodies[0].rows]
    .map(row => row.cells[n].textContent.trim());
  const click = n => document.querySelectorAll('table.sortable thead th')[n].firstChild.click();
  const sorted = {};
  if (document.querySelector('table.sortable')) {
    for (const n of [1, 0]) {
      click(n); sorted[n] = [column(n)]; click(n); sorted[n].push(column(n));
    }
  }
  return {
    uses: uses.length, plots: document.querySelectorAll('svg.plot').length,
    loaded: loaded.filter(n => !n.startsWith('data:')).length,
    pictures: document.querySelectorAll('svg.picture').length,
    cells: document.querySelectorAll('td').length, empty: empty.length, sorted,
    overflow: document.documentElement.scrollWidth - innerWidth };"""
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason='needs chromium or google-chrome, which is not installed'
)


def browse(page: Path, *flags: str) -> str:
    """Open a page, check that the browser does not complain, and return what it prints."""
    profile = page.with_name('profile')
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f'--user-data-dir={profile}', *flags, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert 'CONSOLE' not in done.stderr, done.stderr
    return done.stdout


def screenshot(page: Path, width: int, *flags: str) -> np.ndarray:
    """Draw a page as it is, in a window of a width."""
    picture = page.with_suffix('.png')
    browse(page, f'--window-size={width},2400', f'--screenshot={picture}', *flags)
    return cv2.imread(str(picture))


def probe(page: Path, width: int) -> Dict[str, Any]:
    """Count what the browser draws and loads."""
    return ask(page, PROBE, width)


def ask(page: Path, script: str, width: int = 1200) -> Any:
    """Return what a script returns, which the page's own policy would not let run."""
    text = re.sub(POLICY, '', page.read_text(encoding='utf-8'))
    probed = page.with_name(f'probed {page.name}')
    probed.write_text(text.replace('</body>', FOUND % script + '</body>'), encoding='utf-8')
    text = browse(probed, f'--window-size={width},2400', '--dump-dom')
    return json.loads(html.unescape(re.search(r'<p id="found">(.*?)</p>', text)[1]))
