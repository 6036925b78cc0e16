"""Which packages an environment gets: those of OpenMMLab, or the OneDL forks on newer Pythons."""

import shutil
import subprocess
import sys

from .messages import fail, say

# The oldest and newest Python of each stack. From 3.13 on, mmcv 2.1's setup.py fails: it reads a
# variable that `exec` no longer leaves in `locals()` (PEP 667).
STACKS = {'upstream': ((3, 11), (3, 12)), 'onedl': ((3, 11), (3, 14))}
NEWEST = 'onedl'
VERSION = 'import sys; print(*sys.version_info[:2])'


def choose_stack(asked, python):
    """Return the stack that was asked for, or the first that supports the Python.

    Args:
        asked: Name of a stack, or ``''``.
        python: Python of the environment, which may not exist yet.
    """
    if asked not in ('', *STACKS):
        fail(f'unknown STACK={asked}; the stacks are {" and ".join(STACKS)}')
    version = version_of(python)
    stack = asked or next(iter(supporting(version)), NEWEST)
    if stack not in supporting(version):
        refuse(version, asked)
    return stack


def announce_forks(asked, stack, python):
    if stack != (asked or 'upstream'):
        version = dotted(version_of(python))
        say(f'Python {version}: taking the OneDL forks, as mmcv 2.1 needs 3.12 or older')


def refuse(version, asked):
    low, high = STACKS[asked or NEWEST]
    names = [f'python3.{minor}' for minor in range(high[1], low[1] - 1, -1)]
    remedies = [f'PYTHON={next(filter(shutil.which, names), names[0])}']
    remedies += [f'STACK={other}' for other in supporting(version)]
    fail(
        f'this is Python {dotted(version)}; {f"STACK={asked}" if asked else "this project"} needs '
        f'{dotted(low)} to {dotted(high)}; run: {" or ".join(f"make {r} ..." for r in remedies)}'
    )


def supporting(version):
    return [stack for stack, (low, high) in STACKS.items() if low <= version <= high]


def version_of(python):
    """Return the version of an environment's Python, or of the one that will create it."""
    if not python.is_file():
        return sys.version_info[:2]
    return tuple(map(int, subprocess.check_output([str(python), '-c', VERSION]).split()))


def dotted(version):
    return '.'.join(map(str, version))
