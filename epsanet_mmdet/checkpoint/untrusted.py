"""Opening checkpoints that this run did not write, in a process of its own.

A pickle can ask for terabytes or for hours, and torch's readers are compiled code that was not
written for hostile input. So a child process opens the file, limited in memory and time by the
operating system, and writes what it holds as safetensors; this process reads nothing else.
"""

import json
import os
import os.path as osp
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Union

from torch import Tensor

from ..errors import CheckpointError
from .load import drop_config_text
from .safetensors_files import SUFFIX, check_file, read_tensors, read_weights_file, with_versions

CHILD = osp.join(osp.dirname(osp.abspath(__file__)), 'reader', 'child.py')
MIB = 2**20
MEMORY = 512 * MIB, 4  # bytes, and more for every byte of the file
SECONDS = 20, 0.25 / MIB  # of CPU time, likewise
PATIENCE = 60, 5  # seconds that the child has in all: to start, and times its CPU time


def load_untrusted(path: Union[str, Path], map_location: Any = None) -> Any:
    """Load a checkpoint in a child process: tensors, and what can be written as JSON.

    Optimiser state, logging buffers and the config stored as text are left out. A safetensors
    file has nothing that could run, so it is read directly. The child's memory, CPU time and
    output are limited in proportion to the file: all three on Linux, not memory on macOS, and on
    Windows only the time until the child is killed.

    Args:
        path: File.
        map_location: Device of the tensors; anything but a device means the CPU.

    Raises:
        CheckpointError: If the file is no checkpoint, tries to call something, or takes more
            memory or time than a file of its size may.
        FileNotFoundError: If there is no such file.
    """
    check_file(path)
    if str(path).endswith(SUFFIX):
        return read_weights_file(path, map_location)
    with tempfile.TemporaryDirectory(prefix='epsanet-', ignore_cleanup_errors=True) as folder:
        out = osp.join(folder, 'content.safetensors')
        _convert_in_child(str(path), out)
        tensors, metadata = read_tensors(out, map_location)
    checkpoint = _decode(json.loads(metadata['content']), tensors)
    drop_config_text(checkpoint)
    return checkpoint


def _convert_in_child(path: str, out: str) -> None:
    size = osp.getsize(path)
    memory, seconds = (int(base + share * size) for base, share in (MEMORY, SECONDS))
    job = dict(source=osp.abspath(path), out=out, memory=memory, seconds=seconds, disk=memory)
    modules = os.pathsep.join(folder for folder in sys.path if folder)
    patience = PATIENCE[0] + PATIENCE[1] * seconds
    try:
        done = subprocess.run(
            [sys.executable, CHILD, json.dumps(job)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': modules},
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        raise CheckpointError(
            f'{path} is refused: it takes more than {patience} s to read; do not use this file'
        ) from None
    if done.returncode == 0:
        return
    if done.returncode < 0:  # the system killed it, by SIGKILL or SIGXCPU, or torch aborted
        raise CheckpointError(
            f'{path} is refused: it takes more memory or time than a file of its size may '
            f'({memory // MIB} MiB, {seconds} s); do not use this file'
        )
    last = (done.stdout or done.stderr).decode(errors='replace').strip().splitlines()[-1:]
    try:
        reason = json.loads(last[0])
    except (ValueError, IndexError):  # it did not get so far as to open the file
        reason = f'cannot be read: the process that opens it failed ({"".join(last)})'
    raise CheckpointError(f'{path} {reason}')


def _decode(value: Any, tensors: Dict[str, Tensor]) -> Any:
    """Return what the child encoded."""
    if not isinstance(value, list):
        return value
    kind, *items = value
    if kind == 'tensor':
        return tensors[items[0]]
    if kind == 'dict':
        versions, *pairs = items
        found = {_decode(key, tensors): _decode(item, tensors) for key, item in pairs}
        return with_versions(found, versions) if versions else found
    content: List[Any] = [_decode(item, tensors) for item in items]
    return tuple(content) if kind == 'tuple' else content
