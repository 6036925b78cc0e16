"""Every loader of mmengine, whatever the scheme, refuses to run code from the file."""

import functools
import http.server
import threading

import pytest
import torch
from crafted_checkpoints import attacks, write
from forked_reader import forked_child  # noqa: F401
from mmengine.fileio import BaseStorageBackend, register_backend
from mmengine.runner import CheckpointLoader

from epsanet_mmdet.checkpoint import loaders, restrict_loaders
from epsanet_mmdet.errors import CheckpointError

pytestmark = pytest.mark.usefixtures('forked_child')
load = CheckpointLoader.load_checkpoint


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with an honest and a crafted checkpoint, and torch's cache elsewhere."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    folder = tmp_path / 'files'
    folder.mkdir()
    torch.save({'state_dict': {'backbone.w': torch.ones(2)}}, folder / 'good.pth')
    write(folder / 'evil.pth', attacks(tmp_path / 'ran')['system'][0])
    yield folder
    assert not (tmp_path / 'ran').exists(), 'the checkpoint ran code'


@pytest.fixture
def url(files):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(files))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def test_every_loader_of_mmengine_is_replaced():
    restrict_loaders()
    for prefix, loader in CheckpointLoader._schemes.items():
        assert loader.__module__ == loaders.__name__, prefix
        assert loader.__name__.startswith('load_from_')  # mmengine logs the rest


def test_an_absent_file_stays_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(str(tmp_path / 'absent.pth'))


def test_a_home_folder_is_expanded(files, monkeypatch):
    monkeypatch.setenv('HOME', str(files))
    assert load('~/good.pth')['state_dict']['backbone.w'].sum() == 2


def test_downloads_are_cached_and_restricted(url, files, tmp_path):
    assert load(f'{url}/good.pth')['state_dict']['backbone.w'].sum() == 2
    (files / 'good.pth').unlink()
    assert load(f'{url}/good.pth'), 'it is in the cache'
    with pytest.raises(CheckpointError, match='posix.system'):
        load(f'{url}/evil.pth')


@pytest.mark.parametrize('address', ['/absent.pth', ':1/a.pth'])
def test_a_download_that_fails_is_one_line(address, url):
    with pytest.raises(CheckpointError, match='cannot be downloaded') as caught:
        load(url + address if address[0] == '/' else 'http://127.0.0.1' + address)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'models, prefix',
    [
        ('get_torchvision_models', 'torchvision'),
        ('get_torchvision_models', 'modelzoo'),
        ('get_external_models', 'open-mmlab'),
        ('get_external_models', 'openmmlab'),
        ('get_mmcls_models', 'mmcls'),
    ],
)
def test_weights_of_model_zoos_are_restricted(models, prefix, url, monkeypatch):
    names = {name: f'{url}/{name}.pth' for name in ('good', 'evil')}
    monkeypatch.setattr(loaders, models, lambda: names)
    weights = load(f'{prefix}://good')['state_dict']
    assert list(weights) == ['w' if prefix == 'mmcls' else 'backbone.w']
    with pytest.raises(CheckpointError, match='posix.system'):
        load(f'{prefix}://evil')
    with pytest.raises(CheckpointError, match="no model 'absent'"):
        load(f'{prefix}://absent')


def test_files_on_remote_storage_are_restricted(files, monkeypatch):
    class Storage(BaseStorageBackend):
        def get(self, path):
            return (files / path.split('/')[-1]).read_bytes()

        def get_text(self, path, encoding='utf-8'):
            raise NotImplementedError

    register_backend('petrel', Storage, force=True)
    assert load('s3://bucket/good.pth')['state_dict']['backbone.w'].sum() == 2
    with pytest.raises(CheckpointError, match='posix.system'):
        load('cluster:s3://bucket/evil.pth')
    with pytest.raises(CheckpointError, match='download the file'):
        load('pavi://good')
