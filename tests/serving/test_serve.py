"""``epsanet serve`` serves a page on which a visitor drops pictures and downloads the results."""

import json
import socket
import sys
import zipfile

import pytest
from browser import CHROMIUM, needs_browser
from one_line import error_line
from tiny_detector import tiny_detector  # noqa: F401
from tiny_inference import load_detector  # noqa: F401

from epsanet_mmdet.errors import CheckpointError, ConfigError, ExtraError
from epsanet_mmdet.serving import serve

WAIT = 60_000  # milliseconds; pages appear in seconds on an idle machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    message = error_line(ExtraError, serve, 'config', 'checkpoint')
    assert message == "gradio is not installed; run: pip install 'epsanet_mmdet[serve]'"


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        (dict(score_thr=3), 'from 0.05 to 1'),
        (dict(score_thr=0), 'from 0.05 to 1'),
        (dict(port=0), 'from 1 to 65535'),
        (dict(port=70000), 'from 1 to 65535'),
    ],
)
def test_a_number_out_of_range_is_one_line(changed, words):
    assert words in error_line(ConfigError, serve, 'config', 'checkpoint', **changed)


def test_the_checkpoint_is_checked_first(tiny_detector):  # noqa: F811
    pytest.importorskip('gradio')
    message = error_line(CheckpointError, serve, tiny_detector.config, 'absent.pth')
    assert 'does not exist' in message


@pytest.fixture(name='serve_tiny')
def reuse_detector(tiny_detector, detector, monkeypatch):  # noqa: F811
    """Return a function that serves the tiny detector and calls a visitor with its address."""
    gradio = pytest.importorskip('gradio')
    monkeypatch.setattr('epsanet_mmdet.serving.run.Detector', lambda *_: detector)

    def run(visit, **options):
        port = options.setdefault('port', free_port())
        monkeypatch.setattr(
            gradio.Blocks, 'block_thread', lambda _: visit(f'http://127.0.0.1:{port}')
        )
        serve(tiny_detector.config, tiny_detector.checkpoint, **options)

    return run


def test_a_port_in_use_is_one_line(serve_tiny):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = error_line(ConfigError, serve_tiny, None, port=port)
    assert message == f'port {port} of 127.0.0.1 cannot be used; choose another --port or --host'


def test_only_this_machine_reaches_the_page(serve_tiny):
    addresses = []

    def visit(address):
        port = int(address.rpartition(':')[2])
        with open('/proc/net/tcp') as table:
            rows = [line.split() for line in table][1:]
        addresses.extend(
            row[1] for row in rows if row[3] == '0A' and row[1].endswith(f':{port:04X}')
        )

    serve_tiny(visit)
    assert [address.partition(':')[0] for address in addresses] == ['0100007F']


@needs_browser
def test_a_visitor_drops_pictures_moves_the_threshold_and_downloads(
    serve_tiny,
    tiny_detector,  # noqa: F811
    tmp_path,
):
    playwright = pytest.importorskip('playwright.sync_api')
    files = sorted(map(str, tiny_detector.images.iterdir()))[:2]
    (tmp_path / 'bad.jpg').touch()
    seen, requests, problems = {}, [], []

    def visit(address):
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
            page = browser.new_page(accept_downloads=True)
            page.set_default_timeout(WAIT)
            page.on('request', lambda request: requests.append(request.url))
            page.on('pageerror', lambda error: problems.append(error))
            page.goto(address)
            field = page.locator('input[type=file]').first
            field.set_input_files([*files, str(tmp_path / 'bad.jpg')])
            page.get_by_text('empty file').last.wait_for()
            seen['pictures'] = page.locator('.grid-container img').count()
            seen['low'] = download(page, tmp_path / 'low.zip')
            threshold = page.locator('input[type=number]').first
            threshold.fill('1')
            threshold.press('Enter')
            page.get_by_text('picture 1.png: 0 objects').last.wait_for()
            seen['high'] = download(page, tmp_path / 'high.zip')
            browser.close()

    serve_tiny(visit, score_thr=0.1)
    assert seen['pictures'] == 2 and not problems
    assert len(seen['low']) > 0 and seen['high'] == []
    assert all(entry['score'] >= 0.1 for entry in seen['low'])
    foreign = [url for url in requests if '127.0.0.1' not in url and url.startswith('http')]
    assert not foreign


def download(page, path):
    """Download the results and return the boxes in them."""
    with page.expect_download() as started:
        page.get_by_text('Download results').first.click()
    started.value.save_as(path)
    with zipfile.ZipFile(path) as results:
        assert {'pictures/picture 1.png', 'images.json'} <= set(results.namelist())
        return json.loads(results.read('results.bbox.json'))
