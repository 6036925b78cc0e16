"""Load checkpoints that this run did not write, in a child process.

A pickle can request terabytes or hours, and torch's readers are compiled code that was not
written for hostile input. So a child process, whose memory and time the operating system limits,
opens the file and writes its content as safetensors, which is all that this process reads.
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
from .load import drop_config_text, open_checkpoint
from .mxnet_files import MAGIC, read_params
from .safetensors_files import SUFFIX, read_tensors, read_weights_file, with_versions

CHILD = osp.join(osp.dirname(osp.abspath(__file__)), 'reader', 'child.py')
MIB = 2**20
MEMORY = 512 * MIB, 4  # bytes, and bytes for each byte of the file
SECONDS = 20, 0.25 / MIB  # of CPU time, and for each byte of the file
PATIENCE = 60, 5  # seconds until the child is killed: constant, and factor of its CPU time


def load_untrusted(path: Union[str, Path], map_location: Any = None) -> Any:
    """Load the tensors of a checkpoint, and everything in it that JSON can hold.

    Optimizer state, logging buffers and the config stored as text are dropped. Safetensors files
    and MXNet's parameter files contain no code and are read directly. The memory, CPU time and
    output of the child process are limited in proportion to the file; macOS does not limit memory,
    and Windows only the time until the child is killed.

    Args:
        path: The file.
        map_location: Device of the tensors; anything but a device means the CPU.

    Raises:
        CheckpointError: If the file is not a checkpoint, calls something, or needs more memory or
            time than a file of its size should.
        FileNotFoundError: If the file does not exist.
    """
    with open_checkpoint(path) as file:
        head = file.read(len(MAGIC))
    if str(path).endswith(SUFFIX):
        return read_weights_file(path, map_location)
    if head == MAGIC:
        return read_params(path, map_location)
    with tempfile.TemporaryDirectory(prefix='epsanet-', ignore_cleanup_errors=True) as folder:
        out = osp.join(folder, 'content.safetensors')
        convert_in_child(str(path), out)
        tensors, metadata = read_tensors(out, map_location)
    checkpoint = _decode(json.loads(metadata['content']), tensors)
    drop_config_text(checkpoint)
    return checkpoint


def convert_in_child(path: str, out: str) -> None:
    """Convert a checkpoint to safetensors in a child process."""
    size = osp.getsize(path)
    memory, seconds = (int(base + share * size) for base, share in (MEMORY, SECONDS))
    job = dict(source=osp.abspath(path), out=out, memory=memory, seconds=seconds)
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
    except (ValueError, IndexError):  # it failed before it opened the file
        reason = f'cannot be read: the process that opens it failed ({"".join(last)})'
    raise CheckpointError(f'{path} {reason}')


def _decode(value: Any, tensors: Dict[str, Tensor]) -> Any:
    """Return the value that the child encoded."""
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
