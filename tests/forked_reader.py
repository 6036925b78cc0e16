"""The process that opens untrusted checkpoints, forked to read many files a second."""

import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import Callable

import pytest
import torch

from epsanet_mmdet.checkpoint import restricted_load, untrusted
from epsanet_mmdet.errors import CheckpointError

torch.set_num_threads(1)  # a fork would wait for threads that it does not have
sys.path.insert(0, str(Path(untrusted.CHILD).parent))  # which Python does for a script
_spec = importlib.util.spec_from_file_location('reading_child', untrusted.CHILD)
child = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(child)
sys.path.pop(0)


def read_untrusted(job: child.Job) -> None:
    """Read like the child process."""
    torch.serialization.clear_safe_globals()  # the child has not imported the package
    child.run(job)


def read_own(job: child.Job) -> None:
    """Read like a run that resumes, but within the limits."""
    child.limit(job)
    restricted_load(job.source, 'cpu')


def read_forked(
    path: str,
    memory: int = 2**28,
    seconds: int = 10,
    read: Callable[[child.Job], None] = read_untrusted,
) -> Path:
    """Read a checkpoint in a fork of this process.

    Args:
        path: The checkpoint.
        memory: Limit of memory in bytes.
        seconds: Limit of CPU time.
        read: Function that reads it, called in the fork.

    Returns:
        The safetensors file that the fork wrote, if any.

    Raises:
        CheckpointError: If the fork refuses the file, or the system kills it.
        AssertionError: If any other error is raised.
    """
    out, said = (Path(f'{path}.{suffix}') for suffix in ('out', 'said'))
    job = child.Job(path, str(out), memory, seconds)
    process = os.fork()
    if process == 0:
        status, text = 3, ''
        try:
            signal.alarm(60)  # in case the fork hangs
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # torch's warnings about pickles
            read(job)
            status = 0
        except child.Refused as error:
            status, text = 1, f'{path} {error}'
        except CheckpointError as error:
            status, text = 1, str(error)
        except BaseException as error:
            text = repr(error)
        try:
            said.write_text(text)
        finally:
            os._exit(status)
    _, status, usage = os.wait4(process, 0)
    code = os.waitstatus_to_exitcode(status)
    read_forked.usage = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
    assert code != -signal.SIGALRM, 'the reader hangs'
    if code < 0:
        raise CheckpointError(f'{path} is refused: the system ended the reader ({code})')
    if code == 1:
        raise CheckpointError(said.read_text())
    assert code == 0, said.read_text()
    return out


@pytest.fixture
def forked_child(monkeypatch):
    """Fork the child process instead of starting it, in tests that read many files."""

    def convert(path: str, out: str) -> None:
        os.replace(read_forked(path, memory=2**31), out)

    monkeypatch.setattr(untrusted, 'convert_in_child', convert)
