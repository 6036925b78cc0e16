"""The wheel has all that mim and mmengine look for, and installing it changes no environment."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
import yaml
from package_base import check_base

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp('tree')
    files = subprocess.check_output(['git', 'ls-files'], cwd=ROOT, text=True).splitlines()
    for name in filter(lambda name: (ROOT / name).exists(), files):
        if not (ROOT / name).is_dir():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    for link in (ROOT / 'epsanet_mmdet' / '.mim').iterdir():
        target = tree / 'epsanet_mmdet' / '.mim' / link.name
        target.parent.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(link.readlink())
    return tree


def build_wheel(source, folder, **environment):
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation']
    environment = dict(os.environ, **environment)
    subprocess.run([*command, '-w', str(folder), str(source)], env=environment, check=True)
    return zipfile.ZipFile(next(folder.glob('*.whl')))


@pytest.fixture(scope='module')
def wheel(tree, tmp_path_factory):
    return build_wheel(tree, tmp_path_factory.mktemp('wheel'))


@pytest.fixture(scope='module')
def archive(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp('archive')
    command = [sys.executable, 'setup.py', '-q', 'sdist', '-d', str(folder)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    return next(folder.glob('*.tar.gz'))


def test_the_wheel_has_every_config_tool_and_template(wheel):
    names = set(wheel.namelist())
    for folder, pattern in (('configs', '*'), ('tools', '*')):
        for path in (ROOT / folder).rglob(pattern):
            if path.is_file() and '__pycache__' not in path.parts:
                assert f'epsanet_mmdet/.mim/{path.relative_to(ROOT)}' in names
    assert 'epsanet_mmdet/.mim/model-index.yml' in names
    for pattern in ('*/templates/*', 'experiments/*.json'):
        for path in (ROOT / 'epsanet_mmdet').glob(pattern):
            assert str(path.relative_to(ROOT)) in names


@pytest.mark.skipif(shutil.which('c++') is None, reason='needs a C++ compiler')
def test_the_wheel_has_the_compiled_kernel(wheel):
    assert 'epsanet_mmdet/ops/cpu/_cpu_kernels.so' in wheel.namelist()


def test_the_source_archive_installs_without_a_compiler(archive, wheel, tmp_path):
    built = build_wheel(archive, tmp_path, CC='false', CXX='false')
    missing = set(wheel.namelist()) - set(built.namelist())
    assert missing <= {'epsanet_mmdet/ops/cpu/_cpu_kernels.so'}


def test_the_source_archive_has_the_sources_of_the_kernel(archive):
    names = {name.split('/', 1)[1] for name in tarfile.open(archive).getnames() if '/' in name}
    folder = 'epsanet_mmdet/ops/cpu/csrc'
    sources = {f'{folder}/{path.name}' for path in (ROOT / folder).iterdir()}
    assert sources and sources <= names


def test_configs_of_the_wheel_are_bases_named_by_the_package(wheel, tmp_path):
    wheel.extractall(tmp_path / 'site')
    check_base(tmp_path, PYTHONPATH=str(tmp_path / 'site'))


def test_the_wheel_tells_type_checkers_that_it_has_types(wheel):
    assert 'epsanet_mmdet/py.typed' in wheel.namelist()


def test_the_installed_command_runs_from_another_folder(wheel, tmp_path):
    site, elsewhere = tmp_path / 'site', tmp_path / 'elsewhere'
    elsewhere.mkdir()
    options = ['-q', '--no-deps', '--target', str(site), wheel.filename]
    subprocess.run([sys.executable, '-m', 'pip', 'install', *options], check=True)
    paths = [str(site), *os.environ.get('PYTHONPATH', '').split(os.pathsep)]
    paths = [path for path in paths if path and Path(path) != ROOT]
    done = subprocess.run(
        [site / 'bin' / 'epsanet', 'train', 'mask-rcnn_epsanet50-s_fpn_1x_cocoa', '--debug'],
        cwd=elsewhere,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "did you mean 'mask-rcnn_epsanet50-s_fpn_1x_coco'" in done.stderr
    assert str(site / 'epsanet_cli' / 'main.py') in done.stderr
    assert str(ROOT) not in done.stderr and not any(elsewhere.iterdir())


def test_the_wheel_has_no_tests(wheel):
    assert not any(name.startswith('tests') for name in wheel.namelist())


def test_the_wheel_requires_the_mm_packages_only_as_extras(wheel):
    name = next(name for name in wheel.namelist() if name.endswith('METADATA'))
    metadata = message_from_string(wheel.read(name).decode())
    plain = [line for line in metadata.get_all('Requires-Dist') if 'extra ==' not in line]
    assert [line.split('>')[0] for line in plain] == [
        'argcomplete',
        'jinja2',
        'msgspec',
        'packaging',
        'safetensors',
    ]
    assert {'upstream', 'onedl', 'test'} <= set(metadata.get_all('Provides-Extra'))
    assert metadata['Requires-Python'] == '>=3.11'


def test_every_config_is_in_a_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    listed = set()
    for metafile in index['Import']:
        for model in yaml.safe_load((ROOT / metafile).read_text())['Models']:
            assert Path(model['Config']).stem == model['Name']
            listed.add(model['Config'])
    shipped = {str(p.relative_to(ROOT)) for p in (ROOT / 'configs').rglob('*.py')}
    own = ('_base_', 'shapes', 'small_data')  # of no paper
    unlisted = {c for c in shipped - listed if not any(name in c for name in own)}
    assert not unlisted and not listed - shipped
