"""The notebooks run from the first cell to the last, and are stored without outputs."""

import os
from pathlib import Path
from typing import Dict

import nbformat
import pytest
from conftest import ROOT
from documents import name_of
from nbclient import NotebookClient
from scratch import write_programs

NOTEBOOKS = sorted((ROOT / 'docs' / 'notebooks').glob('*.ipynb'))
# What takes long, as a reader would change it.
SMALLER: Dict[str, str] = {'own_data': 'TRAIN_IMAGES, VAL_IMAGES, SIZE = 6, 3, 64'}


@pytest.fixture(params=NOTEBOOKS, ids=map(name_of, NOTEBOOKS))
def path(request) -> Path:
    return request.param


@pytest.mark.slow(minutes=2)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    write_programs(tmp_path / 'bin')
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setenv('PYTHONPATH', f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if 'parameters' in cell.metadata.get('tags', []):
            cell.source += '\n' + SMALLER.get(path.stem, '')
    resources = {'metadata': {'path': str(tmp_path)}}
    NotebookClient(notebook, timeout=900, kernel_name='python3', resources=resources).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == 'code')


def test_a_notebook_is_stored_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get('outputs') and not cell.get('execution_count')
