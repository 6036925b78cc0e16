"""What ``import epsanet_mmdet`` loads: what it registers, and nothing else."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Iterator, Set

from conftest import ROOT

REGISTERED = {'layers', 'backbones', 'necks', 'plugins', 'datasets', 'hooks', 'checkpoints'}
ELSEWHERE = (
    *('inference', 'deploy', 'report', 'reproduction', 'new_config', 'transplant', 'benchmark'),
    *('pretraining', 'mmdet_tools', 'configs', 'options', 'demo', 'costs', 'latency', 'long_run'),
)
MODULES = {
    '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path
    for path in (ROOT / 'epsanet_mmdet').rglob('*.py')
    if '.mim' not in path.parts
}


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_what_it_registers():
    shown = python('import sys, epsanet_mmdet; print(*sys.modules)')
    names = [name for name in shown.split() if name.startswith('epsanet_mmdet.')]
    loaded = {name.split('.')[1] for name in names}
    assert loaded >= REGISTERED
    assert not loaded & {*ELSEWHERE}


def test_infer_is_loaded_when_it_is_used():
    shown = python('import sys, epsanet_mmdet; epsanet_mmdet.infer; print(*sys.modules)')
    assert 'epsanet_mmdet.inference' in shown.split()


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of this package that one imports when it is loaded."""
    package = path.parent.relative_to(ROOT).parts
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = [*package[: len(package) - node.level + 1], *(node.module or '').split('.')]
        base = [part for part in base if part]
        for alias in node.names:
            submodule = '.'.join([*base, alias.name])
            yield submodule if submodule in MODULES else '.'.join(base)


def packages(name: str) -> Set[str]:
    """Return the packages that hold a module, below the topmost: they are loaded before it."""
    parts = name.split('.')
    return {'.'.join(parts[:i]) for i in range(2, len(parts))}


def test_no_imports_go_round_in_circles():
    graph = {}
    for name, path in MODULES.items():
        loaded = {part for found in imports(path) for part in (found, *packages(found))}
        graph[name] = loaded - packages(name) - {name, 'epsanet_mmdet'}
    TopologicalSorter(graph).prepare()  # which raises a CycleError
