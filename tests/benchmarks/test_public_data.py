"""Public data sets come from one commit of their source, whole or not at all."""

import os
import subprocess

import pytest
from public_data import SOURCES, Source, fetch
from small_data import write_voc

from epsanet_mmdet.errors import DataError
from epsanet_mmdet.own_data.lint import check_dataset


@pytest.fixture
def source(tmp_path):
    repository = tmp_path / 'repository'
    write_voc(repository / 'VOC')
    (repository / 'README').touch()

    def git(*arguments):
        identity = {
            f'GIT_{who}_{key}': 'x' for who in ('AUTHOR', 'COMMITTER') for key in ('NAME', 'EMAIL')
        }
        return subprocess.run(
            ['git', *arguments],
            cwd=repository,
            env={**os.environ, **identity},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    git('init')
    git('add', '.')
    git('commit', '-m', 'data')
    return Source(str(repository), git('rev-parse', 'HEAD'), 'VOC', '6 images')


def test_a_folder_is_fetched_and_can_be_checked(source, tmp_path):
    out = tmp_path / 'new' / 'data'
    fetch(source, str(out))
    assert sorted(path.name for path in out.iterdir()) == ['Annotations', 'JPEGImages']
    assert sorted(path.name for path in out.parent.iterdir()) == ['data']
    (split,) = check_dataset([str(out)]).splits
    assert len(split.images) == 6


def test_a_whole_repository_is_fetched_without_its_history(source, tmp_path):
    fetch(source._replace(folder=''), str(tmp_path / 'data'))
    assert sorted(path.name for path in (tmp_path / 'data').iterdir()) == ['README', 'VOC']


@pytest.mark.parametrize(
    'change', [dict(commit='0' * 40), dict(url='nowhere'), dict(folder='none')]
)
def test_another_source_is_refused_and_leaves_nothing(change, source, tmp_path):
    out = tmp_path / 'data'
    with pytest.raises(DataError, match='cannot be fetched') as error:
        fetch(source._replace(**change), str(out))
    assert len(str(error.value).splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ['repository']


def test_an_existing_folder_is_kept(source, tmp_path):
    with pytest.raises(DataError, match='exists; name another'):
        fetch(source, str(tmp_path))


def test_without_git_the_remedy_is_named(source, tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(DataError, match='git is not installed'):
        fetch(source, str(tmp_path / 'data'))


@pytest.mark.parametrize('name', SOURCES)
def test_sources_are_pinned_to_a_commit(name):
    assert len(SOURCES[name].commit) == 40
