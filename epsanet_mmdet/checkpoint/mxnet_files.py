"""MXNet's parameter files (``.params``), as Gluon's ``save_parameters`` writes them.

Such a file holds a list of arrays and one of their names, and no code. All numbers are
little-endian: a magic number and a reserved one, the number of arrays, each array as its own magic
number, storage type, shape, device, kind of numbers and numbers, then the number of names, and each
name as length and text (``NDArray::Save`` in MXNet's ``src/ndarray/ndarray.cc``).
"""

import math
import os
import struct
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, Dict, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError
from .load import open_checkpoint
from .safetensors_files import device_of

MAGIC = struct.pack('<Q', 0x112)  # the first bytes of a file
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA  # of an array, by the version of the format
KINDS = dict(enumerate(('<f4', '<f8', '<f2', '|u1', '<i4', '|i1', '<i8')))
MOST_ARRAYS = 100_000
MOST_DIMENSIONS = 32


class _Fault(Exception):
    """What is wrong with a file, as a sentence without its subject."""


def read_params(path: Union[str, Path], map_location: Any = None) -> Dict[str, Tensor]:
    """Read the tensors of an MXNet parameter file.

    Every length is compared with the rest of the file before anything is allocated, so this takes
    no more memory than twice the file.

    Args:
        path: The file.
        map_location: See :func:`.safetensors_files.device_of`.

    Raises:
        CheckpointError: If it is damaged, or has arrays that are sparse, without numbers, without
            names, or of another kind of numbers than torch's.
        FileNotFoundError: If it does not exist.
    """
    device = device_of(map_location)
    with open_checkpoint(path) as file:
        try:
            tensors = _Reader(file).read()
        except _Fault as fault:
            raise CheckpointError(
                f"{path} is damaged or no list of MXNet's dense arrays (it {fault}); get it again, "
                'or write it with save_parameters'
            ) from None
    return {name: tensor.to(device) for name, tensor in tensors.items()}


class _Reader:
    """Reads a file once, from its beginning, and never asks for more than the file has."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.rest = os.fstat(file.fileno()).st_size

    def read(self) -> Dict[str, Tensor]:
        if self.take(8) != MAGIC:
            raise _Fault('begins otherwise')
        self.take(8)  # reserved
        tensors = [self.tensor(index) for index in range(self.count('arrays'))]
        names = [self.name() for _ in range(self.count('names'))]
        if self.rest:
            raise _Fault(f'has {self.rest} more bytes after its end')
        if len(names) != len(tensors):
            raise _Fault(f'has {len(tensors)} arrays and {len(names)} names')
        for name, times in Counter(names).items():
            if times > 1:
                raise _Fault(f'has {times} arrays named {name[:100]!r}')
        return dict(zip(names, tensors))

    def take(self, size: int) -> bytes:
        if size > self.rest:
            raise _Fault('ends too early')
        content = self.file.read(size)
        if len(content) != size:  # it shrank meanwhile
            raise _Fault('ends too early')
        self.rest -= size
        return content

    def numbers(self, form: str) -> Tuple[int, ...]:
        return struct.unpack(f'<{form}', self.take(struct.calcsize(f'<{form}')))

    def count(self, what: str) -> int:
        (count,) = self.numbers('Q')
        if count > MOST_ARRAYS:
            raise _Fault(f'has {count} {what}, more than {MOST_ARRAYS}')
        return count

    def name(self) -> str:
        (length,) = self.numbers('Q')
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise _Fault('has a name that is not UTF-8') from None

    def tensor(self, index: int) -> Tensor:
        (version,) = self.numbers('I')
        if version not in (V1, V2, V3):
            raise _Fault(f'has an array of unknown form, number {index}')
        if version != V1 and self.numbers('i') != (0,):
            raise _Fault(f'has a sparse array, number {index}; save it as a dense one')
        (dimensions,) = self.numbers('i')
        if dimensions > MOST_DIMENSIONS:
            raise _Fault(f'has an array of {dimensions} dimensions, number {index}')
        shape = self.numbers(f'{max(dimensions, 0)}q')
        is_scalar = dimensions == 0 and version == V3  # before, such an array had no numbers
        if not (is_scalar or (shape and min(shape) > 0)):
            raise _Fault(f'has an array without numbers, number {index}')
        *_, kind = self.numbers('3i')  # after the type and number of the device
        if kind not in KINDS:
            raise _Fault(f'has numbers of unknown kind {kind} in array number {index}')
        stored = np.dtype(KINDS[kind])
        content = self.take(stored.itemsize * math.prod(shape))
        values = np.frombuffer(content, stored).astype(stored.newbyteorder('='))
        return torch.from_numpy(values.reshape(shape))
