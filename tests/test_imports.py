"""What ``import epsanet_mmdet`` loads: what it registers, and nothing else. It prints nothing.

``lint-imports`` checks which module may import which (``pyproject.toml``).
"""

import subprocess
import sys

from conftest import ROOT

REGISTERED = {'checkpoint', 'datasets', 'engine', 'layers', 'models'}
BELOW = {'config', 'errors', 'moved', 'ops', 'registry', 'utils', 'version'}


def loaded(code: str) -> set:
    """Return the names below ``epsanet_mmdet`` that a program loads, which must print nothing."""
    command = [sys.executable, '-c', f'{code}; import sys; print(*sys.modules)']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, '')
    (line,) = done.stdout.splitlines()
    names = [name.split('.') for name in line.split()]
    return {parts[1] for parts in names if parts[0] == 'epsanet_mmdet' and len(parts) > 1}


def test_importing_the_package_loads_what_it_registers_and_nothing_else():
    names = loaded('import epsanet_mmdet')
    assert REGISTERED <= names <= REGISTERED | BELOW


def test_infer_is_loaded_when_it_is_used():
    assert 'inference' in loaded('import epsanet_mmdet; epsanet_mmdet.infer')
