"""The versions stated in setup.py, requirements, tools, Dockerfile and documentation agree."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
from _setup.stacks import NEWEST, STACKS, dotted  # noqa: E402

sys.path.remove(str(ROOT / 'tools'))  # whose scripts have the names of modules
PYTHONS = [f'3.{minor}' for minor in range(STACKS[NEWEST][0][1], STACKS[NEWEST][1][1] + 1)]


def setup_arguments() -> dict:
    """Return the literal arguments of ``setup()`` in setup.py."""
    tree = ast.parse((ROOT / 'setup.py').read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    (call,) = (call for call in calls if getattr(call.func, 'id', '') == 'setup')
    wanted = ('classifiers', 'python_requires', 'extras_require', 'install_requires')
    return {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg in wanted}


def pins(stack: str, python: str) -> dict:
    """Return the pinned version of each package on a Python."""
    lines = (ROOT / 'requirements' / f'{stack}.txt').read_text().splitlines()
    requirements = [Requirement(line) for line in lines if not line.startswith('#')]
    on = {'python_version': python}
    apply = [r for r in requirements if not r.marker or r.marker.evaluate(on)]
    assert len({r.name for r in apply}) == len(apply), 'a package is pinned twice'
    return {r.name: str(r.specifier).removeprefix('==') for r in apply}


def dockerfile() -> str:
    return (ROOT / 'Dockerfile').read_text().replace('\\\n', '')


def test_setup_py_declares_the_pythons_that_the_stacks_support():
    setup = setup_arguments()
    assert setup['python_requires'] == f'>={PYTHONS[0]}'
    name = 'Programming Language :: Python :: '
    assert [c.removeprefix(name) for c in setup['classifiers'] if c.startswith(name)] == PYTHONS


def test_ruff_checks_for_the_oldest_python():
    text = (ROOT / 'pyproject.toml').read_text()
    assert f'target-version = "py{PYTHONS[0].replace(".", "")}"' in text


@pytest.mark.parametrize('stack', STACKS)
def test_pins_are_inside_the_ranges_of_setup_py(stack):
    setup = setup_arguments()
    low, high = STACKS[stack]
    for minor in range(low[1], high[1] + 1):
        pinned = pins(stack, f'3.{minor}')
        for requirement in map(Requirement, setup['extras_require'][stack]):
            assert pinned[requirement.name] in requirement.specifier
        for requirement in map(Requirement, setup['install_requires']):
            assert pinned.get(requirement.name, '999') in requirement.specifier


def test_the_stacks_differ_only_in_the_mm_packages_and_their_requirements():
    upstream, onedl = (pins(stack, PYTHONS[0]) for stack in STACKS)
    assert all(name.startswith('mm') for name in upstream.keys() - onedl.keys())
    both = upstream.keys() & onedl.keys()
    assert {name: upstream[name] for name in both} == {name: onedl[name] for name in both}


def test_the_table_of_tested_versions_has_the_pins_and_every_python():
    page = (ROOT / 'docs' / 'stacks.md').read_text()
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in page.splitlines()]
    rows = [row for row in rows if row[:1] in (['upstream'], ['OneDL'])]
    for row in rows:
        row[1] = row[1].split()[0]  # "3.13 (Debian 13)"
    for stack, python, _, *mm, _ in rows:
        versions = pins(stack.lower(), python).items()
        assert mm == [version for name, version in versions if 'mm' in name]
    for python in PYTHONS:
        stack = 'upstream' if python <= dotted(STACKS['upstream'][1]) else 'OneDL'
        assert [stack, python] in [row[:2] for row in rows]


def test_the_documentation_states_the_supported_pythons():
    page = (ROOT / 'docs' / 'stacks.md').read_text()
    for text in (page, (ROOT / 'README.md').read_text()):
        assert f'Python {PYTHONS[0]} to {PYTHONS[-1]}' in text
    assert f'needs {dotted(STACKS["upstream"][1])} or older' in page


def test_the_image_has_a_python_with_the_upstream_stack():
    (version,) = re.findall(r'ARG BASE=python:(\d+\.\d+)-', dockerfile())
    assert dotted(STACKS['upstream'][0]) <= version <= dotted(STACKS['upstream'][1])


def test_the_cuda_image_of_the_documentation_fits_the_pinned_torch():
    page = (ROOT / 'docs' / 'gpu.md').read_text()
    (cuda,) = set(re.findall(r'nvidia/cuda:(\d+\.\d+)\.\d+-devel', page))
    assert f'torch {pins("upstream", "3.12")["torch"]} from PyPI is built for CUDA {cuda}' in page


def test_lines_of_the_dockerfile_are_shell():
    lines = [line.removeprefix('RUN ') for line in dockerfile().splitlines() if line[:4] == 'RUN ']
    assert len(lines) == 2
    for line in lines:
        subprocess.run(['sh', '-n', '-c', line], check=True)
