"""The process that opens untrusted checkpoints, forked instead of started: many files a second."""

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

torch.set_num_threads(1)  # a fork has only one of them, and would wait for the others
sys.path.insert(0, str(Path(untrusted.CHILD).parent))  # as Python does for a script
_spec = importlib.util.spec_from_file_location('reading_child', untrusted.CHILD)
child = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(child)
sys.path.pop(0)


def read_untrusted(job: child.Job) -> None:
    """Read as the child process does."""
    torch.serialization.clear_safe_globals()  # the child has not imported the package
    child.run(job)


def read_own(job: child.Job) -> None:
    """Read as a run reads its own checkpoints, but within the limits."""
    child.limit(job)
    restricted_load(job.source, 'cpu')


def read_forked(
    path: str,
    memory: int = 2**28,
    seconds: int = 10,
    read: Callable[[child.Job], None] = read_untrusted,
) -> Path:
    """Have a fork of this process read a checkpoint.

    Args:
        path: The checkpoint.
        memory: Bytes that it may take.
        seconds: Of CPU time that it may take.
        read: Reads it, in the fork.

    Returns:
        The safetensors file that it wrote, if it did.

    Raises:
        CheckpointError: If it refuses the file, or the system kills it.
        AssertionError: If something else is raised.
    """
    out, said = (Path(f'{path}.{suffix}') for suffix in ('out', 'said'))
    job = child.Job(path, str(out), memory, seconds)
    process = os.fork()
    if process == 0:
        status, text = 3, ''
        try:
            signal.alarm(60)  # of a fork that hangs
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what torch says of pickles
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
    """Fork the reading process where a test reads many files; others start the real one."""

    def convert(path: str, out: str) -> None:
        os.replace(read_forked(path, memory=2**31), out)

    monkeypatch.setattr(untrusted, '_convert_in_child', convert)
