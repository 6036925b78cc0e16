"""Completion of commands, options, configs and plans in shells, by argcomplete."""

import os
from argparse import ArgumentParser
from importlib.util import find_spec
from pathlib import Path
from typing import List

SHELLS = ('bash', 'zsh', 'fish')


def package() -> Path:
    """Return the folder of ``epsanet_mmdet``, without importing it."""
    return Path(find_spec('epsanet_mmdet').origin).parent


def shell_code(shell: str) -> str:
    """Return the code that a shell evaluates to complete ``epsanet``."""
    from argcomplete import shellcode

    return shellcode(['epsanet'], shell=shell)


def complete(parser: ArgumentParser) -> None:
    """Print completions and exit, if this process was started for that."""
    if '_ARGCOMPLETE' in os.environ:
        from argcomplete import autocomplete

        autocomplete(parser)


def configs(prefix: str, **kwargs) -> List[str]:
    """Return the bare names of shipped configs, and files."""
    shipped = (package() / '.mim' / 'configs').rglob('*.py')
    return [path.stem for path in shipped if '_base_' not in path.parts] + _files(prefix, 'py')


def plans(prefix: str, **kwargs) -> List[str]:
    """Return the bare names of shipped plans, and files."""
    shipped = (package() / '.mim' / 'configs' / 'plans').glob('*.yml')
    return [path.stem for path in shipped] + _files(prefix, 'yml', 'yaml')


def _files(prefix: str, *extensions: str) -> List[str]:
    from argcomplete.completers import FilesCompleter

    return list(FilesCompleter(extensions)(prefix))
