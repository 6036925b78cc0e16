"""MXNet's parameter files, and the AFF authors' networks in them, written from their source.

The format is that of ``NDArray::Save`` in MXNet, the names those of ``save_parameters`` for the
classes of YimianDai/open-aff. Both share nothing with the package.
"""

import struct
from pathlib import Path
from typing import Dict, Mapping

import numpy as np
import torch
from torch import Tensor

KINDS = {'float32': 0, 'float64': 1, 'float16': 2, 'uint8': 3, 'int32': 4, 'int8': 5, 'int64': 6}


def array_bytes(values: np.ndarray, magic: int = 0xF993FAC9) -> bytes:
    """Return an array on the CPU as MXNet 1.x writes it, dense."""
    content = struct.pack('<I', magic)
    if magic != 0xF993FAC8:  # whose arrays have no storage type
        content += struct.pack('<i', 0)
    content += struct.pack(f'<i{values.ndim}q', values.ndim, *values.shape)
    content += struct.pack('<iii', 1, 0, KINDS[values.dtype.name])
    return content + values.tobytes()


def list_bytes(arrays: list, names: list) -> bytes:
    """Return a whole file of encoded arrays, and names as bytes."""
    content = struct.pack('<QQQ', 0x112, 0, len(arrays)) + b''.join(arrays)
    content += struct.pack('<Q', len(names))
    return content + b''.join(struct.pack('<Q', len(name)) + name for name in names)


def write_params(tensors: Mapping[str, Tensor], path: Path) -> Path:
    """Write tensors as MXNet's ``save_parameters`` does."""
    arrays = [array_bytes(value.numpy()) for value in tensors.values()]
    path.write_bytes(list_bytes(arrays, [name.encode() for name in tensors]))
    return path


class Network:
    """Random parameters of an AFF-ResNet-50 or AFF-ResNeXt-50 32x4d.

    Args:
        iterative: Whether it is iAFF.
        resnext: Whether it is the ResNeXt, whose layers have other names.
    """

    def __init__(self, iterative: bool, resnext: bool) -> None:
        self.tensors: Dict[str, Tensor] = {}
        self.atts = ('', '2') if iterative else ('',)
        self.resnext = resnext
        half = 64 if resnext else 32
        stem = 'features' if resnext else 'conv1'
        for index, (out, given) in {0: (half, 3), 3: (half, half), 6: (2 * half, half)}.items():
            self.conv(f'{stem}.{index}', out, given, 3)
        self.norm(f'{stem}.1', half)
        self.norm(f'{stem}.4', half)
        self.norm(f'{stem}.7' if resnext else 'bn1', 2 * half)
        channels = 2 * half
        for stage, blocks in enumerate((3, 4, 6, 3)):
            for block in range(blocks):
                name = f'features.{10 + stage}.{block}' if resnext else f'layer{stage + 1}.{block}'
                self.block(name, channels, 64 * 2**stage, stage, block == 0)
                channels = 256 * 2**stage
        self.dense('output' if resnext else 'fc', 1000, 2048)

    def conv(self, name: str, out: int, given: int, size: int, bias: bool = False) -> None:
        self.tensors[f'{name}.weight'] = torch.randn(out, given, size, size) / given**0.5 / size
        if bias:
            self.tensors[f'{name}.bias'] = torch.randn(out)

    def dense(self, name: str, out: int, given: int) -> None:
        self.tensors[f'{name}.weight'] = torch.randn(out, given)
        self.tensors[f'{name}.bias'] = torch.randn(out)

    def norm(self, name: str, channels: int) -> None:
        for part in ('gamma', 'running_var'):
            self.tensors[f'{name}.{part}'] = torch.rand(channels) + 0.5
        for part in ('beta', 'running_mean'):
            self.tensors[f'{name}.{part}'] = torch.randn(channels)

    def block(self, name: str, given: int, planes: int, stage: int, is_first: bool) -> None:
        out = 4 * planes
        width, groups = (2 * planes, 32) if self.resnext else (planes, 1)
        convs = 'body.{}' if self.resnext else 'conv{}'
        norms = 'body.{}' if self.resnext else 'bn{}'
        places = ((0, 1), (3, 4), (6, 7)) if self.resnext else ((1, 1), (2, 2), (3, 3))
        shapes = ((width, given, 1), (width, width // groups, 3), (out, width, 1))
        for (conv, norm), shape in zip(places, shapes):
            self.conv(f'{name}.{convs.format(conv)}', *shape)
            self.norm(f'{name}.{norms.format(norm)}', shape[0])
        if is_first:
            place = 0 if self.resnext and stage == 0 else 1  # after a pooling that the former lacks
            self.conv(f'{name}.downsample.{place}', out, given, 1)
            self.norm(f'{name}.downsample.{place + 1}', out)
        if stage >= 2:
            for att in self.atts:
                self.branch(f'{name}.attention.local_att{att}', out, 0)
                self.branch(f'{name}.attention.global_att{att}', out, 1)

    def branch(self, name: str, channels: int, pooling: int) -> None:
        self.conv(f'{name}.{pooling}', channels // 16, channels, 1, bias=True)
        self.norm(f'{name}.{pooling + 1}', channels // 16)
        self.conv(f'{name}.{pooling + 3}', channels, channels // 16, 1, bias=True)
        self.norm(f'{name}.{pooling + 4}', channels)
