"""Features of ResNets with attention, as their authors' code computes them from its own weights.

Written from reading that code, on plain state dicts in its names (see ``classifier_files.py``). It
shares nothing with the package.
"""

from typing import Callable, Dict, List, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

State = Dict[str, Tensor]


def batch_norm(state: State, name: str, x: Tensor) -> Tensor:
    parts = (state[f'{name}.{part}'] for part in ('running_mean', 'running_var', 'weight', 'bias'))
    return F.batch_norm(x, *parts, training=False)


def conv(state: State, name: str, x: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    weight = state[f'{name}.weight']
    return F.conv2d(
        x,
        weight,
        state.get(f'{name}.bias'),
        stride,
        dilation * (weight.size(-1) // 2),
        dilation,
        x.size(1) // weight.size(1),
    )


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f'{name}.weight'].flatten(1), state.get(f'{name}.bias'))


def squeeze_excitation(first: str, second: str) -> Callable:
    """Return SE with these names of its layers: timm's, Cadene's or senet.pytorch's."""

    def attention(state: State, prefix: str, x: Tensor) -> Tensor:
        hidden = linear(state, f'{prefix}.{first}', x.mean((2, 3))).relu()
        return x * linear(state, f'{prefix}.{second}', hidden).sigmoid()[:, :, None, None]

    return attention


def frequency(state: State, prefix: str, x: Tensor) -> Tensor:
    """The authors' FcaNet, whose state dict holds the transform's basis."""
    basis = state[f'{prefix}.att.dct_layer.weight']
    y = (F.adaptive_avg_pool2d(x, basis.shape[1:]) * basis).sum((2, 3))
    hidden = linear(state, f'{prefix}.att.fc.0', y).relu()
    return x * linear(state, f'{prefix}.att.fc.2', hidden).sigmoid()[:, :, None, None]


def efficient_channel(state: State, prefix: str, x: Tensor) -> Tensor:
    """The authors' ECANet."""
    kernel = state[f'{prefix}.eca.conv.weight']
    z = F.conv1d(x.mean((2, 3))[:, None], kernel, padding=kernel.size(-1) // 2)
    return x * z[:, 0, :, None, None].sigmoid()


def cbam(state: State, prefix: str, x: Tensor) -> Tensor:
    """The authors' CBAM: maximum before mean, and batch norm, in the spatial gate."""
    gates = [
        linear(
            state,
            f'{prefix}.cbam.ChannelGate.mlp.3',
            linear(state, f'{prefix}.cbam.ChannelGate.mlp.1', pooled).relu(),
        )
        for pooled in (x.mean((2, 3)), x.amax((2, 3)))
    ]
    x = x * sum(gates).sigmoid()[:, :, None, None]
    maps = torch.stack([x.amax(1), x.mean(1)], 1)
    spatial = f'{prefix}.cbam.SpatialGate.spatial'
    return x * batch_norm(state, f'{spatial}.bn', conv(state, f'{spatial}.conv', maps)).sigmoid()


def bam(state: State, stage: int, x: Tensor) -> Tensor:
    """The authors' BAM, ahead of the next stage: a product of its branches."""
    if stage == 4:
        return x
    gate = f'bam{stage}.channel_att.gate_c.gate_c'
    z = batch_norm(state, f'{gate}_bn_1', linear(state, f'{gate}_fc_0', x.mean((2, 3))))
    channel = linear(state, f'{gate}_fc_final', z.relu())[:, :, None, None]
    gate = f'bam{stage}.spatial_att.gate_s.gate_s'
    z = batch_norm(state, f'{gate}_bn_reduce0', conv(state, f'{gate}_conv_reduce0', x)).relu()
    for i in (0, 1):
        z = conv(state, f'{gate}_conv_di_{i}', z, dilation=4)
        z = batch_norm(state, f'{gate}_bn_di_{i}', z).relu()
    return (1 + (channel * conv(state, f'{gate}_conv_final', z)).sigmoid()) * x


def features(
    state: State,
    x: Tensor,
    attention: Optional[Callable] = None,
    after_stage: Optional[Callable] = None,
    caffe: bool = False,
    stride_in: int = 2,
) -> List[Tensor]:
    """Return the output of each stage.

    Args:
        state: In the authors' names, of a ResNet or ResNeXt.
        x: Images (B, 3, H, W).
        attention: Ahead of a block's addition.
        after_stage: After each stage.
        caffe: Whether the stem is Cadene's: ``layer0``, and Caffe's pooling.
        stride_in: The convolution of a block that has its stride.
    """
    stem = 'layer0.' if caffe else ''
    x = batch_norm(state, f'{stem}bn1', conv(state, f'{stem}conv1', x, 2)).relu()
    pool = dict(ceil_mode=True) if caffe else dict(padding=1)
    x = F.max_pool2d(x, 3, 2, **pool)
    outputs = []
    for stage in (1, 2, 3, 4):
        block = 0
        while f'layer{stage}.{block}.conv1.weight' in state:
            stride = 2 if stage > 1 and block == 0 else 1
            x = residual(state, f'layer{stage}.{block}', x, attention, stride, stride_in)
            block += 1
        x = after_stage(state, stage, x) if after_stage else x
        outputs.append(x)
    return outputs


def residual(
    state: State,
    name: str,
    x: Tensor,
    attention: Optional[Callable],
    stride: int,
    stride_in: int,
) -> Tensor:
    y = x
    last = 3 if f'{name}.conv3.weight' in state else 2  # two in ResNet-18 and ResNet-34
    for i in range(1, last + 1):
        y = conv(state, f'{name}.conv{i}', y, stride if i == stride_in else 1)
        y = batch_norm(state, f'{name}.bn{i}', y)
        y = y.relu() if i < last else y
    y = attention(state, name, y) if attention else y
    if f'{name}.downsample.0.weight' in state:
        x = conv(state, f'{name}.downsample.0', x, stride)
        x = batch_norm(state, f'{name}.downsample.1', x)
    return (x + y).relu()
