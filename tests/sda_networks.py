"""The authors' SDA networks: weights in the names of their code, and what it computes from them.

Written from reading that code; it shares nothing with the package.
"""

from typing import Callable, Dict, List

import authors_networks as theirs
import torch
from authors_networks import State
from classifier_files import batch_norm, layer, named
from torch import Tensor

BLOCKS = (3, 4, 6, 3)
SCALES = 4


def resnet_block(planes: int) -> Dict[str, Dict[str, Tensor]]:
    return dict(
        conv1=layer(planes, 4 * planes, 1, 1, bias=False),
        conv2=layer(planes, planes // 8, 3, 3, bias=False),
        conv3=layer(4 * planes, planes, 1, 1, bias=False),
        bn2=batch_norm(planes),
    )


def senet_block(planes: int) -> Dict[str, Dict[str, Tensor]]:
    return {
        **resnet_block(planes),
        'conv2': layer(planes, planes, 3, 3, bias=False),
        'fc1': layer(planes // 4, 4 * planes),
        'fc2': layer(4 * planes, planes // 4),
    }


def res2net_block(planes: int) -> Dict[str, Dict[str, Tensor]]:
    width = planes * 26 // 64
    parts = {f'convs.{i}': layer(width, width, 3, 3, bias=False) for i in range(SCALES - 1)}
    parts |= {f'bns.{i}': batch_norm(width) for i in range(SCALES - 1)}
    return dict(
        conv1=layer(SCALES * width, 4 * planes, 1, 1, bias=False),
        conv3=layer(4 * planes, SCALES * width, 1, 1, bias=False),
        **parts,
    )


def weights(block: Callable[[int], Dict[str, Dict[str, Tensor]]], base: int) -> State:
    """Return random weights of a classifier with 10 classes.

    Args:
        block: Returns the layers of a block, given its planes, as if it did not change channels.
        base: Planes of the first stage.
    """
    state = named('', conv1=layer(base, 3, 7, 7, bias=False), bn1=batch_norm(base))
    inputs = base
    for stage, count in enumerate(BLOCKS, start=1):
        planes = base * 2 ** (stage - 1)
        channels, hidden = 4 * planes, max(4 * planes // 16, 64)
        for i in range(count):
            parts = block(planes)
            middle = parts['conv1']['weight'].size(0)
            parts |= dict(bn1=batch_norm(middle), bn3=batch_norm(channels))
            if i == 0:
                parts['conv1'] = layer(middle, inputs, 1, 1, bias=False)
                parts['downsample.0'] = layer(channels, inputs, 1, 1, bias=False)
                parts['downsample.1'] = batch_norm(channels)
            state |= named(f'stage{stage}.layers.{i}.', **parts)
        depth = {'fc.0': layer(hidden, channels, 1, 1, bias=False), 'fc.1': batch_norm(hidden)}
        depth |= {f'fcs.{i}': layer(channels, hidden, 1, 1) for i in range(count)}
        state |= named(f'stage{stage}.', **depth)
        inputs = channels
    return state | named('', bn2=batch_norm(inputs), fc=layer(10, inputs))


def features(state: State, x: Tensor) -> List[Tensor]:
    """Return the output of each stage for images (B, 3, H, W)."""
    x = theirs.batch_norm(state, 'bn1', theirs.conv(state, 'conv1', x, 2)).relu()
    x = torch.nn.functional.max_pool2d(x, 3, 2, 1)
    outputs = []
    for stage, count in enumerate(BLOCKS, start=1):
        depths = []
        for i in range(count):
            stride = 2 if stage > 1 and i == 0 else 1
            depths.append(block_sum(state, f'stage{stage}.layers.{i}', x, stride))
            x = depths[-1].relu()
        x = selected(state, f'stage{stage}', torch.stack(depths, 1)).relu()
        outputs.append(x)
    return outputs


def block_sum(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    """Return the sum of shortcut and residual, to which no ReLU was applied."""
    y = theirs.conv(state, f'{name}.conv1', x)
    y = theirs.batch_norm(state, f'{name}.bn1', y).relu()
    first = f'{name}.downsample.0.weight' in state
    if f'{name}.convs.0.weight' in state:
        y = split_convolutions(state, name, y, stride, first)
    else:
        y = theirs.conv(state, f'{name}.conv2', y, stride)
        y = theirs.batch_norm(state, f'{name}.bn2', y).relu()
    y = theirs.batch_norm(state, f'{name}.bn3', theirs.conv(state, f'{name}.conv3', y))
    if f'{name}.fc1.weight' in state:
        y = theirs.squeeze_excitation('fc1', 'fc2')(state, name, y)
    if first:
        x = theirs.conv(state, f'{name}.downsample.0', x, stride)
        x = theirs.batch_norm(state, f'{name}.downsample.1', x)
    return x + y


def split_convolutions(state: State, name: str, y: Tensor, stride: int, first: bool) -> Tensor:
    """Res2Net's middle: the first block of a stage pools the last part, and adds nothing."""
    *parts, last = y.chunk(SCALES, 1)
    done = []
    for i, part in enumerate(parts):
        part = part if first or i == 0 else part + done[-1]
        part = theirs.conv(state, f'{name}.convs.{i}', part, stride)
        done.append(theirs.batch_norm(state, f'{name}.bns.{i}', part).relu())
    last = torch.nn.functional.avg_pool2d(last, 3, stride, 1) if first else last
    return torch.cat([*done, last], 1)


def selected(state: State, stage: str, depths: Tensor) -> Tensor:
    """Select among (B, depths, C, H, W)."""
    pooled = depths.sum(1).mean((2, 3), keepdim=True)
    hidden = theirs.batch_norm(state, f'{stage}.fc.1', theirs.conv(state, f'{stage}.fc.0', pooled))
    count = depths.size(1)
    scores = [theirs.conv(state, f'{stage}.fcs.{i}', hidden.relu()) for i in range(count)]
    return (torch.stack(scores, 1).softmax(1) * depths).sum(1)
