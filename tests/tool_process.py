"""Processes of commands: run to their end, or interrupted by Ctrl-C."""

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, Optional

from conftest import ROOT


def run_tool(tool: str, *arguments, **options) -> subprocess.CompletedProcess:
    """Run one of the tools, such as ``train.py``; see :func:`run_python`."""
    return run_python(ROOT / 'tools' / tool, *arguments, **options)


def run_python(
    *command,
    cwd: Path = ROOT,
    environment: Optional[Dict[str, str]] = None,
    timeout: int = 900,
) -> subprocess.CompletedProcess:
    """Run Python without warnings, in a process that has imported the package already.

    What counts when the package, or one that it uses, is imported has no effect here.

    Args:
        command: A script, ``-m`` and a module, or ``-c`` and code; then arguments.
        cwd: Folder to run in.
        environment: Variables; default: those of this process.
        timeout: Seconds after which the process is killed.

    Returns:
        What ``subprocess.run`` returns with ``capture_output`` and ``text``.
    """
    command = [str(word) for word in command]
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, name) for name in ('stdout', 'stderr')}
        request = dict(
            command=command,
            cwd=str(cwd),
            environment={**(os.environ if environment is None else environment)},
            timeout=timeout,
            **{name: str(path) for name, path in files.items()},
        )
        server = _server()
        server.stdin.write(json.dumps(request) + '\n')
        server.stdin.flush()
        status = int(server.stdout.readline())
        said = {
            name: path.read_text('utf-8', errors='surrogateescape') for name, path in files.items()
        }
    return subprocess.CompletedProcess(command, status, **said)


@functools.cache
def _server() -> subprocess.Popen:
    """Return the process that forks for each command; it ends with this one."""
    return subprocess.Popen(
        [sys.executable, '-W', 'ignore', str(ROOT / 'tests' / 'tool_server.py')],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def start(*arguments: str) -> subprocess.Popen:
    """Start Python with some arguments in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, '-W', 'ignore', *arguments],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupt(process: subprocess.Popen) -> str:
    """Press Ctrl-C, which reaches the whole process group; return the last line."""
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert 'Traceback' not in errors
    return errors.splitlines()[-1]
