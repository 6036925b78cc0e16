"""Processes of commands, and Ctrl-C for them."""

import os
import signal
import subprocess
import sys

from conftest import ROOT


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
