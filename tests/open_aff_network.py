"""What the AFF authors' code computes from its own weights, written from reading that code.

It works on plain tensors in the names of ``gluon_files.py`` and shares nothing with the package.
"""

from typing import Dict, List

import torch.nn.functional as F
from torch import Tensor

State = Dict[str, Tensor]


def norm(state: State, name: str, x: Tensor) -> Tensor:
    parts = (state[f'{name}.{part}'] for part in ('running_mean', 'running_var', 'gamma', 'beta'))
    return F.batch_norm(x, *parts, training=False)


def conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f'{name}.weight']
    groups = x.size(1) // weight.size(1)
    bias = state.get(f'{name}.bias')
    return F.conv2d(x, weight, bias, stride, weight.size(-1) // 2, groups=groups)


def attention(state: State, name: str, x: Tensor, second: str = '') -> Tensor:
    """The sigmoid of a local and a global branch, in Gluon's numbers of their layers."""

    def branch(z: Tensor, kind: str, pooling: int) -> Tensor:
        part = f'{name}.{kind}_att{second}'
        z = conv(state, f'{part}.{pooling}', z)
        z = norm(state, f'{part}.{pooling + 1}', z).relu()
        return norm(state, f'{part}.{pooling + 4}', conv(state, f'{part}.{pooling + 3}', z))

    return (branch(x, 'local', 0) + branch(x.mean((2, 3), keepdim=True), 'global', 1)).sigmoid()


def fuse(state: State, name: str, x: Tensor, identity: Tensor) -> Tensor:
    if f'{name}.local_att.0.weight' not in state:
        return x + identity
    weights = attention(state, name, x + identity)
    if f'{name}.local_att2.0.weight' not in state:
        return 2 * x * weights + 2 * identity * (1 - weights)
    first = x * weights + identity * (1 - weights)
    weights = attention(state, name, first, '2')
    return x * weights + identity * (1 - weights)


def block(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    resnet = (('conv1', 'bn1'), ('conv2', 'bn2'), ('conv3', 'bn3'))
    resnext = (('body.0', 'body.1'), ('body.3', 'body.4'), ('body.6', 'body.7'))
    y = x
    for i, parts in enumerate(resnext if f'{name}.body.0.weight' in state else resnet):
        y = conv(state, f'{name}.{parts[0]}', y, stride if i == 1 else 1)
        y = norm(state, f'{name}.{parts[1]}', y)
        y = y.relu() if i < 2 else y
    for place in (0, 1):  # without and with a pooling before it
        if f'{name}.downsample.{place}.weight' in state:
            x = F.avg_pool2d(x, stride, stride, ceil_mode=True, count_include_pad=False)
            x = conv(state, f'{name}.downsample.{place}', x)
            x = norm(state, f'{name}.downsample.{place + 1}', x)
    return fuse(state, f'{name}.attention', y, x).relu()


def features(state: State, x: Tensor) -> List[Tensor]:
    """Return the output of each stage for images (B, 3, H, W)."""
    resnext = 'features.0.weight' in state
    stem, last = ('features', 'features.7') if resnext else ('conv1', 'bn1')
    x = norm(state, f'{stem}.1', conv(state, f'{stem}.0', x, 2)).relu()
    x = norm(state, f'{stem}.4', conv(state, f'{stem}.3', x)).relu()
    x = F.max_pool2d(norm(state, last, conv(state, f'{stem}.6', x)).relu(), 3, 2, 1)
    outputs = []
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for index in range(blocks):
            name = f'features.{10 + stage}.{index}' if resnext else f'layer{stage + 1}.{index}'
            x = block(state, name, x, 2 if stage > 0 and index == 0 else 1)
        outputs.append(x)
    return outputs
